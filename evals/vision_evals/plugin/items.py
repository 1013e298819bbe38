"""The pytest items of a suite: its file, and one item for each check and classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vision_evals.plugin.finish import catalog_of

if TYPE_CHECKING:
    from vision_evals.core.errors import UserError
    from vision_evals.engine.isolated import Isolated
    from vision_evals.engine.session import Session
    from vision_evals.log import Item
    from vision_evals.suite.suite import Suite
    from vision_evals.verdict.job import Job

SESSION = pytest.StashKey["Session | Isolated"]()
SUITES: pytest.StashKey[list[Suite]] = pytest.StashKey()
REFUSED: pytest.StashKey[UserError] = pytest.StashKey()

CHECK_LINES = (rb"^[ \t]*\[\[[ \t]*check[ \t]*\]\]", rb"^[ \t]*measure[ \t]*=")
"""Lines of every suite that has a check."""


class CheckFailedError(Exception):
    """A verdict that fails its item; the entry in the log has the reason."""

    def __init__(self, item: Item) -> None:
        super().__init__(item.headline)
        self.item = item


class SuiteFile(pytest.File):
    """A suite; every mistake in it is reported at collection."""

    def collect(self) -> Iterator[CheckItem]:
        """Yield an item for each check and classifier."""
        from vision_evals.core.errors import UserError, encodable

        path = encodable(self.nodeid or self.path.name)  # or pytest's JUnit cannot be written
        try:
            catalog = catalog_of(self.config)
            suite = catalog.suite(self.path, path)
            self.config.stash.setdefault(SUITES, []).append(suite)
            for job in catalog.jobs(suite, self.path.parent):
                # the id is a string: with anything else --lf reruns everything
                yield CheckItem.from_parent(self, name=job.name, nodeid=job.id, job=job)
        except UserError as error:
            raise self.CollectError(str(error)) from None


class UnmarkedSuiteFile(pytest.File):
    """A file with the checks of a suite and without its mark."""

    def collect(self) -> Iterable[CheckItem]:
        """Say so: an error where the file was named, else a warning, since it may be another's."""
        from vision_evals.core.errors import printable

        message = (
            f"{self.nodeid or self.path.name}: has [[check]] tables but is not a suite, so nothing "
            "in it is judged; write evals = 1 above the first table"
        )
        message = printable(message)
        if self.session.isinitpath(self.path):
            raise self.CollectError(message)
        try:
            self.warn(pytest.PytestCollectionWarning(message))
        except pytest.PytestCollectionWarning:  # under filterwarnings = error
            raise self.CollectError(message) from None
        return ()


class CheckItem(pytest.Item):
    """One check on one classifier."""

    def __init__(self, *, job: Job, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.job = job
        self._judged: Item | None = None
        marker = job.check.spec.name
        self.config.addinivalue_line("markers", f"{marker}: checks that measure {marker}")
        self.add_marker(marker)

    def setup(self) -> None:
        """Load classifier and images; what cannot be loaded is an error, not a verdict."""
        from vision_evals.core.errors import NotApplicableError, UnavailableError

        if REFUSED in self.config.stash:
            raise self.config.stash[REFUSED]
        try:
            self._session.prepare(self.job)
        except NotApplicableError as error:
            pytest.skip(f"not applicable: {error}")
        except UnavailableError as error:
            if self.job.named and self.job.missing is None:
                raise
            pytest.skip(f"unavailable: {error}")

    def runtest(self) -> None:
        """Judge; the first item of a pass runs the pass. A retry finds the same verdict."""
        from vision_evals.core.errors import NotApplicableError, printable
        from vision_evals.log import Verdict

        try:
            item = self._judged = self._judged or self._session.judge(self.job)
        except NotApplicableError as error:
            pytest.skip(f"not applicable: {error}")
        match item.verdict:
            case Verdict.NOT_APPLICABLE:
                pytest.skip(printable(f"not applicable: {item.sentence}"))
            case Verdict.INCONCLUSIVE if (
                catalog_of(self.config).options.table.inconclusive == "skip"
            ):
                pytest.skip(printable(f"inconclusive: {item.sentence}"))
            case Verdict.INVALID | Verdict.FAILED | Verdict.INCONCLUSIVE:
                raise CheckFailedError(item)
        known_reasons = [j.known for j in item.judgements if j.excused and j.known is not None]
        if known_reasons and self.config.option.runxfail:
            raise CheckFailedError(item.model_copy(update={"verdict": Verdict.FAILED}))
        if known_reasons:
            pytest.xfail(printable("; ".join(known_reasons)))

    def _initrequest(self) -> None:
        """Do nothing: pytest-retry asks this of every item, as if each were a function."""

    def add_properties(self) -> None:
        """Copy the log's properties of this item into pytest's reports, and so into JUnit's."""
        session = self.config.stash.get(SESSION, None)
        entry = session and session.entry(self.job)
        if entry:
            from vision_evals.report.export.junit import properties

            log_properties = properties(entry)
            names = {name for name, _ in log_properties}
            self.user_properties[:] = [p for p in self.user_properties if p[0] not in names]
            self.user_properties += log_properties

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the reasons of a failure, numbers first; a user's mistake has no traceback."""
        from vision_evals.core.errors import UserError

        match excinfo.value:
            case CheckFailedError() as failed:
                return _explained(failed.item)
            case UserError() as error:  # as the log has it
                return f"INVALID: {error}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Point at the check's header in the suite."""
        return self.path, self.job.check.line - 1, self.name

    @property
    def _session(self) -> Session | Isolated:
        return self.config.stash[SESSION]


def _explained(item: Item) -> str:
    from vision_evals.core.errors import printable

    failed = [j.sentence for j in item.judgements if j.verdict == item.verdict]
    invalid = [v for v in item.validity if v.invalidates]
    evidence = [f"{v.name} {v.outcome}: {v.evidence}. {v.meaning}" for v in invalid]
    lines = [item.headline, *(evidence or (failed if len(failed) > 1 else []))]
    return "\n".join(map(printable, lines))
