"""Clear what is already there: the bulk scanner."""
