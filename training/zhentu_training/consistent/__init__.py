"""Whether what goods and surroundings disagree about finds cut-outs and false scenes that the looks miss."""
