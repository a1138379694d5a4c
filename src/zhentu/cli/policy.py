"""`zhentu policy`: check it, show what it means, and find thresholds that fit your own pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track
from rich.table import Table

from zhentu.atomic import unwritable
from zhentu.cli.terminal import console, say
from zhentu.errors import ConfigError, UsageError, ZhentuError
from zhentu.settings import Settings, load_settings

if TYPE_CHECKING:
    from zhentu.decide.fit import FittedAction
    from zhentu.decide.policy import Policy
    from zhentu.detect.entries import ModelEntry
    from zhentu.ports import ComparerPort
    from zhentu.types import Scores

policy_app = typer.Typer(help="The policy that decides about pictures.", no_args_is_help=True)


@policy_app.command("check")
def check_policy(
    file: Annotated[Path | None, typer.Argument(help="A policy file; default: the one in force.")] = None,
) -> None:
    """Check a policy file and report every problem at once.

    Example: zhentu policy check configs/policy.yaml
    """
    say(policy_sound(load_with_model(), file))


@policy_app.command("show")
def show_policy(
    file: Annotated[Path | None, typer.Argument(help="A policy file; default: the one in force.")] = None,
) -> None:
    """Print the thresholds in force, and what each profile of the model does to genuine and to forged pictures.

    Example: zhentu policy show
    """
    from zhentu.bootstrap.models import build_comparer, find_model

    settings, screen = load_with_model(), console()
    screen.print(policy_sound(settings, file), soft_wrap=True)
    policy, _ = in_force(settings, file)
    entry = find_model(settings)[0]
    for line in (*_profile_words(policy, entry), *_prior_words(policy, entry)):
        screen.print(line, soft_wrap=True)
    screen.print(_thresholds_table(policy, entry, build_comparer(settings)))
    if entry.profiles:
        screen.print(
            f"\nProfiles of {entry.ref}, measured on pictures of sources that the judging heads had not seen:",
            soft_wrap=True,
        )
        screen.print(_profiles_table(policy, entry))


@policy_app.command("fit")
def fit_policy(
    pictures: Annotated[list[str], typer.Argument(help="Genuine pictures of your own: files, folders or globs.")],
    review: Annotated[
        float, typer.Option(help="Target share of genuine pictures sent to review, for all four categories together.")
    ] = 0.005,
    label: Annotated[float, typer.Option(help="Target share of genuine pictures labelled as AI-made.")] = 0.01,
    write: Annotated[
        Path | None,
        typer.Option(help="Write the thresholds to this policy file; a new file starts from the policy in force."),
    ] = None,
) -> None:
    """Choose thresholds for a target rate of false alarms on your own genuine pictures. Changes nothing by itself.

    Example: zhentu policy fit my-pictures/ --review 0.005 --label 0.01 --write policy.yaml
    """
    from zhentu.bootstrap.models import find_model
    from zhentu.decide.fit import check_rate, fit_action
    from zhentu.intake.find import Taking, find_pictures
    from zhentu.record.written import WrittenFiles
    from zhentu.types import Action

    settings, screen = load_with_model(), console()
    wishes = {Action.REVIEW: review, Action.LABEL: label}
    for action, wished in wishes.items():
        check_rate(action, wished)
    if write and not write.parent.is_dir():
        raise UsageError(f"{write}: there is no folder {write.parent}; create it first")
    policy, base = in_force(settings, write if write and write.exists() else None)
    written = WrittenFiles(settings.data_dir)
    paths = find_pictures(pictures, Taking(own=lambda path: written.what(Path(path))))
    entry, folder = find_model(settings)
    scored = _score(paths, entry, folder, policy, settings)
    for name, why in scored.left_out.items():
        say(f"left out {name}: {why}", err=True)
    if not scored.scores:
        raise UsageError(f"none of {len(paths)} pictures can be read; name genuine pictures of your own")
    fitted = [fit_action(action, wished, scored.scores) for action, wished in wishes.items()]
    screen.print(
        f"{len(scored.scores)} different genuine pictures, {len(scored.left_out)} left out; {entry.ref}; policy {base}",
        soft_wrap=True,
    )
    screen.print(_fitted_table(fitted))
    for each in fitted:
        screen.print(_rate_words(each), soft_wrap=True)
    if entry.profiles:
        screen.print(_own_rates(entry, policy, scored.scores), soft_wrap=True)
    if write is None:
        screen.print("Nothing was written; --write FILE puts these thresholds into a policy file.", soft_wrap=True)
        return
    _write(write, base, policy, fitted, entry)
    screen.print(f"{write}: written; `zhentu policy check {write}`, then set ZHENTU_POLICY_PATH to it", soft_wrap=True)


def load_with_model() -> Settings:
    """The settings with the model in force; a store that does not answer keeps no policy from being looked at."""
    from zhentu.bootstrap.stores import with_chosen_model

    return with_chosen_model(load_settings(), required=False)


def in_force(settings: Settings, file: Path | None) -> tuple[Policy, Path]:
    """The policy of a file, by default the one in the settings, and its path. Raises ConfigError."""
    from zhentu.decide.policy_file import default_policy_path, load_policy

    path = file or settings.policy_path or default_policy_path()
    return load_policy(path), path


def policy_sound(settings: Settings, file: Path | None) -> str:
    """One line on a policy that is valid for the model in force. Raises ConfigError with every problem."""
    from zhentu.bootstrap.models import find_model
    from zhentu.decide.policy import unresolved

    policy, path = in_force(settings, file)
    entry = find_model(settings)[0]
    problems = unresolved(policy, entry.thresholds_for(policy.profile, policy.prior))
    if problems:
        raise ConfigError(str(path), problems)
    without = "" if entry.profiles else f" ({entry.ref} ships none: its own thresholds apply)"
    return (
        f"{path}: version {policy.version}, mode {policy.mode.value}, profile {policy.profile.value}{without}, "
        "no problems"
    )


def _profile_words(policy: Policy, entry: ModelEntry) -> Iterator[str]:
    from zhentu.decide.policy import LimitWord

    words = {limit for limits in policy.limits.values() for limit in limits.values()}
    if entry.profiles and LimitWord.MODEL not in words:
        yield "No threshold is set to `model`: the profile has no effect here."


def _prior_words(policy: Policy, entry: ModelEntry) -> Iterator[str]:
    stated = entry.stated_prior
    read = {category: policy.prior.get(category, share) for category, share in stated.items()}
    yield "Scores are read for these shares of forged pictures: " + ", ".join(
        f"{category.value} {share:g}{'' if share == stated[category] else f' (the model states {stated[category]:g})'}"
        for category, share in read.items()
    )


def _thresholds_table(policy: Policy, entry: ModelEntry, comparer: ComparerPort | None) -> Table:
    table = _table("category", "goods", "action", "from score", "is")
    shipped = entry.thresholds_for(policy.profile, policy.prior)
    for category, goods in policy.limits:
        for each in policy.thresholds(category, goods, shipped):
            named = policy.limits[category, goods].get(
                each.action, policy.limits.get((category, ""), {}).get(each.action)
            )
            origin = f"of profile {each.profile}" if each.profile else "the model's" if named == "model" else "a number"
            table.add_row(category.value, goods or "all", each.action.value, f"{each.value:.4g}", origin)
    for each in policy.comparison_thresholds(comparer.thresholds if comparer else ()):
        table.add_row(each.category.value, "all", each.action.value, f"{each.value:.4g}", "against references")
    return table


def _profiles_table(policy: Policy, entry: ModelEntry) -> Table:
    table = _table("profile", "category", "action", "from score", "false alarms", "recall")
    for profile, of_profile in entry.profiles.items():
        mark = f"{profile.value}{' *' if profile is policy.profile else ''}"
        moved = entry.thresholds_for(profile, policy.prior)
        for point, threshold in zip(of_profile.points, moved, strict=True):
            table.add_row(
                mark,
                threshold.category.value,
                threshold.action.value,
                f"{threshold.value:.4g}",
                f"{point.false_alarms:.2%}",
                f"{point.recall:.1%}",
            )
            mark = ""
        table.add_row("", "any", "", "", f"{of_profile.false_alarms:.2%}", "")
    return table


@dataclass(frozen=True, slots=True)
class _Scored:
    """Scores of the readable pictures, each file's bytes once; the others by name, with the reason."""

    scores: tuple[Scores, ...]
    left_out: Mapping[str, str]


def _score(paths: Sequence[str], entry: ModelEntry, folder: Path, policy: Policy, settings: Settings) -> _Scored:
    from zhentu.bootstrap.screener import limits_of
    from zhentu.detect.detector import Detector
    from zhentu.intake.decode import decode_frames, read_file
    from zhentu.types import Scores

    detector, limits = Detector(entry, folder), limits_of(settings)

    def one(path: str) -> tuple[str, Scores] | str:
        try:
            frames = decode_frames(read_file(Path(path), limits), limits)
        except ZhentuError as error:  # also of a decoder that died, or lacks a package
            return f"{error.code}: {error}"
        looks = [entry.read_at(detector.detect(frame), policy.prior).scores.as_dict() for frame in frames]
        highest = {name: max(look[name] for look in looks) for name in looks[0]}  # any frame may lead to an action
        return frames[0].sha256, Scores(**highest)

    scores: dict[str, Scores] = {}
    left_out: dict[str, str] = {}
    terminal = console(stderr=True)
    with ThreadPoolExecutor(settings.worker_count) as threads:
        found = track(
            threads.map(one, paths), "scoring", len(paths), console=terminal, disable=not terminal.is_terminal
        )
        for path, said in zip(paths, found, strict=True):
            if isinstance(said, str):
                left_out[path] = said
            elif said[0] in scores:
                left_out[path] = "the same file as an earlier one; it counts once"
            else:
                scores[said[0]] = said[1]
    return _Scored(tuple(scores.values()), left_out)


def _fitted_table(fitted: Sequence[FittedAction]) -> Table:
    table = _table("category", "action", "from score")
    for each in fitted:
        for threshold in each.thresholds:
            table.add_row(threshold.category.value, each.action.value, f"{threshold.value:.6g}")
    return table


def _rate_words(fitted: FittedAction) -> str:
    from zhentu.review.learning import wilson

    low, high = wilson(fitted.alarms, fitted.pictures)
    words = (
        f"{fitted.action.value}: target {fitted.wished:.2%}; {fitted.alarms} of these {fitted.pictures} pictures "
        f"({fitted.alarms / fitted.pictures:.2%}); of new ones like them {low:.2%} to {high:.2%} (95 %, Wilson)"
    )
    return f"{words}\n{_few_words(fitted)}" if fitted.too_few else words


def _few_words(fitted: FittedAction) -> str:
    return (
        f"Too few pictures for {fitted.wished:.2%} {fitted.action.value}: {fitted.pictures}, at least {fitted.needed} "
        "are needed. The thresholds lie above nearly all of these, which promises nothing for new ones; add pictures, "
        f"or aim for {min(3 / fitted.pictures, 0.5):.2%} or more."
    )


def _own_rates(entry: ModelEntry, policy: Policy, scores: Sequence[Scores]) -> str:
    """How often the shipped profiles act on the user's pictures."""
    rates = []
    for profile in entry.profiles:
        limits = entry.thresholds_for(profile, policy.prior)
        acted = sum(any(each.of(limit.category) >= limit.value for limit in limits) for each in scores)
        rates.append(f"{profile.value} {acted} ({acted / len(scores):.2%})")
    return "Shares of these pictures that the shipped profiles act on: " + ", ".join(rates)


def _write(path: Path, base: Path, policy: Policy, fitted: Sequence[FittedAction], entry: ModelEntry) -> None:
    from zhentu.atomic import write_whole
    from zhentu.decide.policy_edit import with_thresholds

    today = datetime.now(UTC).date().isoformat()
    wishes = ", ".join(f"{each.action.value} {each.wished:g}" for each in fitted)
    few = "".join(f"; too few for {each.action.value}" for each in fitted if each.too_few)
    note = f"{today}, {entry.ref}, {fitted[0].pictures} genuine pictures, target {wishes}{few}"
    version = f"{policy.version.partition(' fitted ')[0]} fitted {today}"
    thresholds = [each for action in fitted for each in action.thresholds]
    text = with_thresholds(base.read_text(encoding="utf-8"), str(base), thresholds, version, note)
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise unwritable(path, error) from error


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table
