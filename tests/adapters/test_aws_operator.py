"""Destroying, rotating and listing root keys in AWS KMS: what is taken up again, and what races.

Against two simulators of KMS, whole and sabotaged.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from kms_simulators import OPERATOR, SIMULATORS, Before, Kms, error_of, opened, refusal
from seawall.adapters.clock import SystemClock
from seawall.adapters.keys.aws import METHOD, AwsKeys, AwsOperator
from seawall.core.errors import Missing, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME: Final = "tenant/clinic"
SECRET: Final = bytes(range(32))
CONTEXT: Final = "clinic/data/1"
DISABLED: Final = (Refused, "root-key-disabled")
MISSING: Final = (Missing, "root-key-missing")
UNAVAILABLE: Final = (Unavailable, "key-manager-unavailable")


@pytest.fixture(params=SIMULATORS)
def kms(request: pytest.FixtureRequest) -> Iterator[Kms]:
    """Yield each simulator, with the clinic's root key."""
    with opened(request.param) as made:
        made.operator.make(NAME)
        yield made


@pytest.fixture
def ministack() -> Iterator[Kms]:
    """Yield one simulator, for what is about us and not about it."""
    with opened("ministack") as made:
        made.operator.make(NAME)
        yield made


# --- destroying -----------------------------------------------------------------


def test_what_is_destroyed_is_unusable_at_once_and_gone_in_a_week(kms: Kms) -> None:
    """The date is KMS's own, and the key is found by its alias until then."""
    wrapped = kms.keys.wrap(NAME, SECRET, CONTEXT)
    destroyed = kms.operator.destroy(NAME)
    assert ((1,), METHOD) == (destroyed.versions, destroyed.method)
    assert kms.metadata(1)["DeletionDate"] == destroyed.final_at
    week = destroyed.final_at - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < week < timedelta(days=7, hours=1)
    assert DISABLED == error_of(lambda: kms.keys.unwrap(NAME, wrapped, CONTEXT))
    assert DISABLED == error_of(lambda: kms.keys.wrap(NAME, SECRET, CONTEXT))


def test_a_pending_destruction_is_told_with_its_date(kms: Kms) -> None:
    """Older versions await it, the newest is enabled."""
    kms.operator.rotate(NAME)
    destroyed = kms.operator.destroy(NAME, below=2)
    told = [(one.version, one.state, one.until) for one in kms.keys.versions(NAME)]
    assert [(1, "pending-destruction", destroyed.final_at), (2, "enabled", None)] == told


def test_destroying_again_says_the_same(kms: Kms) -> None:
    """No date moves, so that an operator who does not know what came of it asks again."""
    first = kms.operator.destroy(NAME)
    assert first == kms.operator.destroy(NAME)


def test_destroying_what_is_not_there_destroys_nothing(kms: Kms) -> None:
    """It is final at once."""
    before = datetime.now(UTC)
    destroyed = kms.operator.destroy("tenant/nobody")
    assert ((), True) == (destroyed.versions, before <= destroyed.final_at <= datetime.now(UTC))


def test_a_key_whose_versions_all_await_deletion_is_made_anew(kms: Kms) -> None:
    """With the next number, since the old aliases are still there; it is not rotated."""
    kms.operator.destroy(NAME)
    assert MISSING == error_of(lambda: kms.operator.rotate(NAME))
    kms.operator.make(NAME)
    states = [(one.version, one.state) for one in kms.keys.versions(NAME)]
    assert [(1, "pending-destruction"), (2, "enabled")] == states
    assert 2 == kms.keys.wrap(NAME, SECRET, CONTEXT).version


class Broken(Before):
    """KMS, but an operation breaks off the first time, before or after it was done."""

    operation = ""
    is_done = False

    def __getattr__(self, name: str) -> Any:
        """Return the real operation, or one that breaks off."""
        real = getattr(self.real, name)
        if name != self.operation:
            return real

        def breaking(**fields: Any) -> Any:
            """Break off."""
            self.operation = ""
            if self.is_done:
                real(**fields)
            raise refusal("KMSInternalException", name)

        return breaking


def breaking(operation: str, *, is_done: bool) -> Callable[[Any], Any]:
    """Return what stands before a client and breaks off once."""

    def before(client: Any) -> Any:
        """Break off at one operation."""
        made = Broken(client)
        made.operation, made.is_done = operation, is_done
        return made

    return before


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("operation", ["disable_key", "schedule_key_deletion"])
def test_a_destruction_that_broke_off_is_taken_up_again(
    ministack: Kms, operation: str, *, is_done: bool
) -> None:
    """Whatever was done of it, the same again does the rest."""
    ministack.operator.rotate(NAME)
    before = breaking(operation, is_done=is_done)
    with opened("ministack", before, ministack.prefix) as once:
        assert UNAVAILABLE == error_of(lambda: once.operator.destroy(NAME))
        assert (1, 2) == once.operator.destroy(NAME).versions
    states = [one.state for one in ministack.keys.versions(NAME)]
    assert ["pending-destruction"] * 2 == states


def test_all_are_disabled_before_the_first_is_scheduled(ministack: Kms) -> None:
    """So that a deletion that somebody cancels leaves no key that opens anything."""
    ministack.operator.rotate(NAME)
    with opened(
        "ministack", breaking("schedule_key_deletion", is_done=False), ministack.prefix
    ) as once:
        assert UNAVAILABLE == error_of(lambda: once.operator.destroy(NAME))
    assert ["disabled"] * 2 == [one.state for one in ministack.keys.versions(NAME)]


def test_another_operator_may_have_been_faster(ministack: Kms) -> None:
    """KMS refuses to disable, and to schedule, what awaits its deletion: then it is done."""

    class Late(Before):
        """KMS, in which another operator schedules the deletion first."""

        def disable_key(self, **fields: Any) -> Any:
            """Be late."""
            self.real.schedule_key_deletion(**fields, PendingWindowInDays=7)
            raise refusal("KMSInvalidStateException", "DisableKey")

        def schedule_key_deletion(self, **_fields: Any) -> Any:
            """Be late."""
            raise refusal("KMSInvalidStateException", "ScheduleKeyDeletion")

    with opened("ministack", Late, ministack.prefix) as late:
        destroyed = late.operator.destroy(NAME)
    assert ministack.metadata(1)["DeletionDate"] == destroyed.final_at


def test_a_key_that_is_deleted_meanwhile_is_destroyed(ministack: Kms) -> None:
    """It is gone already: what was asked for."""

    class Gone(Before):
        """KMS, which has just deleted the key."""

        def disable_key(self, **_fields: Any) -> Any:
            """Do not find it."""
            raise refusal("NotFoundException", "DisableKey")

        def schedule_key_deletion(self, **_fields: Any) -> Any:
            """Do not find it."""
            raise refusal("NotFoundException", "ScheduleKeyDeletion")

    with opened("ministack", Gone, ministack.prefix) as gone:
        destroyed = gone.operator.destroy(NAME)
    assert ((1,), True) == (destroyed.versions, destroyed.final_at <= datetime.now(UTC))


def test_a_server_that_only_says_that_it_deletes_is_found_out(ministack: Kms) -> None:
    """Without a date of deletion nothing is called destroyed."""

    class Idle(Before):
        """KMS, which refuses to delete and says that the state is wrong."""

        def schedule_key_deletion(self, **_fields: Any) -> Any:
            """Refuse."""
            raise refusal("KMSInvalidStateException", "ScheduleKeyDeletion")

    with opened("ministack", Idle, ministack.prefix) as idle:
        assert UNAVAILABLE == error_of(lambda: idle.operator.destroy(NAME))


def test_the_later_of_two_dates_counts(ministack: Kms) -> None:
    """KMS says when it deletes in two places, and may take a day longer than it was told."""
    later = datetime.now(UTC) + timedelta(days=8)

    class Slow(Before):
        """KMS, which takes a day longer."""

        def describe_key(self, **fields: Any) -> Any:
            """Describe."""
            found = self.real.describe_key(**fields)["KeyMetadata"]
            date = {"DeletionDate": later} if "DeletionDate" in found else {}
            return {"KeyMetadata": {**found, **date}}

    with opened("ministack", Slow, ministack.prefix) as slow:
        assert later == slow.operator.destroy(NAME).final_at


# --- two operators, and one that was interrupted ---------------------------------


def race(kms: Kms) -> tuple[int, list[str], list[str]]:
    """Let another operator rotate in the middle of a rotation, after the key was made.

    Return the version, the ids of the keys that were made, and of those that are scheduled.
    """
    made: list[str] = []
    scheduled: list[str] = []

    class Raced(Before):
        """KMS, in which the other operator comes first."""

        def list_resource_tags(self, **_fields: Any) -> Any:
            """See nothing of what the other one has half made."""
            return {"Tags": []}

        def create_key(self, **fields: Any) -> Any:
            """Make a key, and remember it."""
            answer = self.real.create_key(**fields)
            made.append(answer["KeyMetadata"]["KeyId"])
            return answer

        def create_alias(self, **fields: Any) -> Any:
            """Give the alias away first."""
            if len(made) == 1:
                other.rotate(NAME)
            return self.real.create_alias(**fields)

        def schedule_key_deletion(self, **fields: Any) -> Any:
            """Schedule, and remember it."""
            scheduled.append(fields["KeyId"])
            return self.real.schedule_key_deletion(**fields)

    client = Raced(kms.simulator.plugged(OPERATOR))
    other = AwsOperator(client, prefix=kms.prefix, clock=SystemClock())
    version = AwsOperator(client, prefix=kms.prefix, clock=SystemClock()).rotate(NAME)
    return version, made, scheduled


def test_two_rotations_at_once_make_one_version(kms: Kms) -> None:
    """The loser takes the winner's version, and has its own key deleted."""
    version, made, scheduled = race(kms)
    assert (2, 2) == (version, len(made))
    assert made[:1] == scheduled
    assert made[1] == kms.metadata(2)["KeyId"]
    assert [1, 2] == [one.version for one in kms.keys.versions(NAME)]


def test_rotations_on_many_threads_make_versions_without_a_gap(ministack: Kms) -> None:
    """Each has one key, and what is wrapped under the newest opens."""
    threads = [threading.Thread(target=ministack.operator.rotate, args=[NAME]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = ministack.keys.versions(NAME)
    numbers = [one.version for one in versions]
    assert list(range(1, len(numbers) + 1)) == numbers
    assert {"enabled"} == {one.state for one in versions}
    wrapped = ministack.keys.wrap(NAME, SECRET, CONTEXT)
    assert SECRET == ministack.keys.unwrap(NAME, wrapped, CONTEXT)


def stray(kms: Kms) -> str:
    """End a rotation after its key was made; return its id."""
    made: list[str] = []

    class Ended(Before):
        """KMS, whose caller ends after it made a key."""

        def create_key(self, **fields: Any) -> Any:
            """Make a key."""
            answer = self.real.create_key(**fields)
            made.append(answer["KeyMetadata"]["KeyId"])
            raise KeyboardInterrupt

    with opened(kms.simulator.name, Ended, kms.prefix) as ended, pytest.raises(KeyboardInterrupt):
        ended.operator.rotate(NAME)
    assert [1] == [one.version for one in kms.keys.versions(NAME)]
    return made[0]


def test_a_key_that_was_made_and_not_named_is_named_by_the_next_one(kms: Kms) -> None:
    """No key is left behind that is paid for and used by nobody."""
    key_id = stray(kms)
    assert 2 == kms.operator.rotate(NAME)
    assert key_id == kms.metadata(2)["KeyId"]


def test_a_key_of_another_root_key_or_state_is_not_taken_up(kms: Kms) -> None:
    """Only one that was made for this very version, and is enabled."""
    kms.operator.make("tenant/other")
    key_id = stray(kms)
    assert 2 == kms.operator.rotate("tenant/other")
    kms.client.disable_key(KeyId=key_id)
    kms.operator.rotate(NAME)
    assert key_id not in {
        kms.metadata(2)["KeyId"],
        kms.client.describe_key(KeyId=kms.alias(2, "tenant/other"))["KeyMetadata"]["KeyId"],
    }


def test_an_alias_that_is_ours_already_deletes_nothing(ministack: Kms) -> None:
    """An answer was lost, and the alias was made: KMS says that it exists, and it is our key's."""

    class Lost(Before):
        """KMS, whose answer was lost and which was asked again."""

        def create_alias(self, **fields: Any) -> Any:
            """Make the alias twice."""
            self.real.create_alias(**fields)
            return self.real.create_alias(**fields)

    with opened("ministack", Lost, ministack.prefix) as lost:
        assert 2 == lost.operator.rotate(NAME)
    assert "Enabled" == ministack.metadata(2)["KeyState"]


def test_a_holder_that_cannot_be_seen_yet_deletes_nothing(ministack: Kms) -> None:
    """KMS knows of a new alias in one place and not yet in another: nothing is deleted by that."""
    scheduled = []

    class Behind(Before):
        """KMS, in which the winner's alias is taken and not to be found."""

        def create_alias(self, **_fields: Any) -> Any:
            """Say that the alias is taken."""
            raise refusal("AlreadyExistsException", "CreateAlias")

        def schedule_key_deletion(self, **fields: Any) -> Any:
            """Remember what would be deleted."""
            scheduled.append(fields)

    with opened("ministack", Behind, ministack.prefix) as behind:
        assert 2 == behind.operator.rotate(NAME)
    assert [] == scheduled


def test_keys_that_an_operator_may_not_look_at_are_passed_over(ministack: Kms) -> None:
    """Other people's keys in the same account do not keep it from making ours."""
    ministack.client.create_key()

    class Strict(Before):
        """KMS, whose policy forbids to look at the tags of anything."""

        def list_resource_tags(self, **_fields: Any) -> Any:
            """Forbid."""
            raise refusal("AccessDeniedException", "ListResourceTags")

    with opened("ministack", Strict, ministack.prefix) as strict:
        assert 2 == strict.operator.rotate(NAME)


@pytest.mark.parametrize("operation", ["list_resource_tags", "describe_key"])
def test_a_half_made_key_that_is_deleted_while_it_is_looked_at_is_let_go(
    ministack: Kms, operation: str
) -> None:
    """It was listed, and is gone a moment later: that is no reason to stop."""
    before = without(operation, stray(ministack), "NotFoundException")
    with opened("ministack", before, ministack.prefix) as kms:
        assert 2 == kms.operator.rotate(NAME)


def test_looking_for_a_half_made_key_stops_where_kms_does_not_answer(ministack: Kms) -> None:
    """A second key is not made because the first could not be looked at."""
    foreign = ministack.client.create_key()["KeyMetadata"]["KeyId"]
    before = without("list_resource_tags", foreign, "ThrottlingException")
    with opened("ministack", before, ministack.prefix) as kms:
        assert UNAVAILABLE == error_of(lambda: kms.operator.rotate(NAME))


def without(operation: str, key_id: str, code: str) -> Callable[[Any], Any]:
    """Return what stands before a client and answers an operation on one key with an error."""

    class Without(Before):
        """KMS, but for one key."""

        def __getattr__(self, name: str) -> Any:
            """Return the real operation, or one that fails for the one key."""
            real = getattr(self.real, name)

            def failing(**fields: Any) -> Any:
                """Fail for the one key."""
                if fields["KeyId"] == key_id:
                    raise refusal(code, name)
                return real(**fields)

            return failing if name == operation else real

    return Without


# --- listings -------------------------------------------------------------------


class Paged(Before):
    """KMS, which lists in five pages; simulators list all at once."""

    def list_aliases(self, **fields: Any) -> Any:
        """List a fifth at a time."""
        return self._page("list_aliases", "Aliases", fields)

    def list_keys(self, **fields: Any) -> Any:
        """List a fifth at a time."""
        return self._page("list_keys", "Keys", fields)

    def _page(self, operation: str, field: str, fields: dict[str, Any]) -> Any:
        everything = []
        answer: Any = {"Truncated": True}
        marker: dict[str, Any] = {}
        while answer["Truncated"]:
            answer = getattr(self.real, operation)(**marker)
            everything += answer[field]
            marker = {"Marker": answer.get("NextMarker")}
        start, size = int(fields.get("Marker", "0")), len(everything) // 5 + 1
        page = everything[start : start + size]
        if start + size >= len(everything):
            return {field: page, "Truncated": False}
        return {field: page, "Truncated": True, "NextMarker": str(start + size)}


def test_listings_are_read_to_their_end(kms: Kms) -> None:
    """Of aliases and of keys: no version is missed because it is on a later page."""
    key_id = stray(kms)
    with opened(kms.simulator.name, Paged, kms.prefix) as paged:
        paged.operator.rotate(NAME)
        paged.operator.rotate(NAME)
        assert [1, 2, 3] == [one.version for one in paged.keys.versions(NAME)]
        assert 3 == paged.keys.wrap(NAME, SECRET, CONTEXT).version
    assert key_id == kms.metadata(2)["KeyId"]


def test_a_version_that_is_deleted_while_it_is_listed_is_left_out(ministack: Kms) -> None:
    """Its alias was still there, the key is not."""
    ministack.operator.rotate(NAME)
    before = without("describe_key", ministack.alias(1), "NotFoundException")
    with opened("ministack", before, ministack.prefix) as kms:
        assert [2] == [one.version for one in kms.keys.versions(NAME)]


@pytest.mark.parametrize("markers", [["a"] * 3_000, [str(number) for number in range(3_000)]])
def test_a_listing_without_an_end_is_given_up(markers: list[str]) -> None:
    """One that goes in a circle at once, one that only goes on after two thousand pages."""

    class Endless:
        """KMS, which always has more."""

        pages = 0

        def list_aliases(self, **_fields: Any) -> Any:
            """List nothing, and say that there is more."""
            self.pages += 1
            return {"Aliases": [], "Truncated": True, "NextMarker": markers[self.pages]}

    client = Endless()
    assert UNAVAILABLE == error_of(lambda: AwsKeys(client, prefix="seawall").versions(NAME))
    assert client.pages == (2 if markers[0] == markers[1] else 2_000)


def test_other_aliases_are_none_of_ours(ministack: Kms) -> None:
    """What does not end in a version, or is of another prefix, counts for nothing."""
    key_id = ministack.metadata(1)["KeyId"]
    for alias in ("7x", "08", "copy", "2/3"):
        ministack.client.create_alias(AliasName=ministack.alias(alias), TargetKeyId=key_id)  # type: ignore[arg-type]
    assert [1] == [one.version for one in ministack.keys.versions(NAME)]
