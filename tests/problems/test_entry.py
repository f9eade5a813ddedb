from dataclasses import replace

import pytest

from problems.base import Argument, Companion, Entry, Record

REQUESTS = Record("requests", "those who wait", (Argument("prompt", "lengths"), Argument("output", "lengths")))
STATE = Record("state", "the machine", (Argument("now", "time", "scalar"),))
ENTRY = Entry("priority", (REQUESTS, STATE), "one score per request", "interactive")


def test_records_are_flattened_in_order() -> None:
    """Values are sent field by field; the layout says how records are made of them; the call names records only."""
    assert [value.name for value in ENTRY.inputs] == ["prompt", "output", "now"]
    assert ENTRY.records == "requests:prompt,output;state:now"
    assert ENTRY.signature == "priority(requests, state)"


def test_plain_arguments_may_stand_among_records() -> None:
    """A plain argument is sent as it is; where there is no record, there is no layout."""
    mixed = replace(ENTRY, arguments=(STATE, Argument("weights", ""), REQUESTS))
    assert mixed.records == "state:now;weights;requests:prompt,output"
    assert [value.name for value in mixed.inputs] == ["now", "weights", "prompt", "output"]
    assert replace(ENTRY, arguments=(Argument("p", ""), Argument("d", ""))).records == ""


@pytest.mark.parametrize("name", ["a b", "class", "", "a:b", "a,b", "a;b", "_hidden", "1st"])
def test_names_that_code_could_not_use_are_refused(name: str) -> None:
    """What is no identifier cannot be an argument, nor a field; so no name can spoil a layout."""
    with pytest.raises(ValueError, match="cannot be a name"):
        Record("requests", "", (Argument(name, ""),))
    with pytest.raises(ValueError, match="cannot be a name"):
        replace(ENTRY, arguments=(Argument(name, ""),))


def test_impossible_entries_are_refused() -> None:
    """Names given twice, records without fields and records for the dispatch loop are refused with the reason."""
    with pytest.raises(ValueError, match="two arguments or fields are called 'state'"):
        replace(ENTRY, arguments=(STATE, STATE))
    with pytest.raises(ValueError, match="record 'state' has no fields"):
        replace(STATE, fields=())
    with pytest.raises(ValueError, match="takes no records"):
        replace(ENTRY, driver="dispatch")
    with pytest.raises(ValueError, match="only the driver 'interactive' can ask companions"):
        replace(ENTRY, driver="once", companions=(Companion("limit", "how many"),))


def test_companions_are_asked_too() -> None:
    """The entry function comes first; without companions it is the only one."""
    both = replace(ENTRY, companions=(Companion("limit", "how many"), Companion("hold", "who waits", told=False)))
    assert both.functions == ("priority", "limit", "hold")
    assert ENTRY.functions == ("priority",)
