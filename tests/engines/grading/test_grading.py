"""Columns are judged by what their values are, not by what they could be; every verdict says why."""

import random
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.grading import KINDS, Column, Known, Model, Rules, judge, judge_table, level_of, load, recognise
from lianfang.engines.grading.levels import Expiry, Mass
from lianfang.engines.grading.names import Dictionary, words
from lianfang.engines.grading.taxonomy import built
from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import DataLevel

SHIPPED = Path(__file__).parents[3] / "content/taxonomies/data-classes.yaml"
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@pytest.fixture(scope="module")
def classes():
    return load(SHIPPED)


def resident(dice):
    """A number with the form and the check of a resident identity number; it belongs to nobody."""
    body = f"{dice.choice((110101, 310104, 440305))}{dice.randint(1950, 2005)}{dice.randint(1, 12):02d}{dice.randint(1, 28):02d}{dice.randrange(1000):03d}"
    return body + "10X98765432"[sum(int(sign) * weight for sign, weight in zip(body, WEIGHTS)) % 11]


def luhn(body):
    """``body`` with its Luhn digit."""
    total = sum(sum(divmod(int(sign) * (2 - at % 2), 10)) for at, sign in enumerate(reversed(body)))
    return body + str(-total % 10)


def column(make, count=1000, name="c1", seed=3, **more):
    dice = random.Random(seed)
    return Column(name, values=list(dict.fromkeys(make(dice) for _ in range(count))), **more)


def kind_of(value):
    found = recognise([value])
    return next((kind for kind in KINDS if found.whole[kind][0]), "")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("11010519491231002X", "resident_id"), ("11010519491231002x", "resident_id"), (" 11010519491231002X ", "resident_id"),
        ("110105194912310021", ""), ("110105194902300021", ""), ("990105194912310029", ""), ("11010519491231002Y", ""),
        ("13812345678", "phone"), ("+86 138-1234-5678", "phone"), ("8613812345678", "phone"), ("138 1234 5678", "phone"), ("12812345678", ""), ("14012345678", ""), ("1381234567", ""),
        (luhn("622202000000000000"), "bank_card"), ("6222 0200 0000 0000 " + luhn("622202000000000000")[-3:], "bank_card"), (luhn("411111111111111"), "bank_card"), (luhn("992202000000000000"), ""),
        ("91350100M000100Y43", "credit_code"), ("91350100M000100Y44", ""), ("91350100I000100Y43", ""),
        ("a.b+c@mail.example.cn", "email"), ("a@b", ""), ("@example.cn", ""),
        ("192.0.2.17", "ip"), ("192.0.2.256", ""), ("2001:db8::17", "ip"), ("12:30:45", ""), ("00:1b:44:11:3a:b7", "mac"), ("001b.4411.3ab7", "mac"), ("00-1B-44-11-3A-B7", "mac"),
        ("cu2612", "contract"), ("SR605", "contract"), ("IO2612-C-4000", "contract"), ("m2705P3000", "contract"), ("zz2612", ""), ("cu2613", ""),
        ("2026-11-21", "date"), ("20261121", "date"), ("2026-13-21", ""), ("2026", "year"), ("138****5678", "masked"), ("d41d8cd98f00b204e9800998ecf8427e", "digest"),
        ("张三", "person_name"), ("欧阳", "person_name"), ("铜价上涨", ""), ("", ""), (None, ""),
    ],
)  # fmt: skip
def test_a_value_is_what_its_check_says(value, kind):
    assert kind_of(value) == kind


@given(st.lists(st.one_of(st.none(), st.text(max_size=40), st.from_regex(r"[0-9Xx+ -]{0,22}", fullmatch=True)), max_size=40))
def test_any_text_is_judged_and_the_company_it_keeps_does_not_matter(values):
    found = recognise(values)
    assert all(len(flags) == len(values) for flags in found.whole.values())
    for at, value in enumerate(values):
        assert [kind for kind in KINDS if found.whole[kind][at]] == ([kind_of(value)] if kind_of(value) else [])


@given(st.integers(0, 2**32))
def test_a_wrong_digit_is_seen(seed):
    dice = random.Random(seed)
    value, at = resident(dice), dice.randrange(17)
    assert kind_of(value) == "resident_id"
    assert kind_of(value[:at] + str((int(value[at]) + dice.randint(1, 9)) % 10) + value[at + 1 :]) != "resident_id"


# -- columns -------------------------------------------------------------------------------------------------------


def test_columns_are_told_by_their_values_alone(classes):
    made = {
        "居民身份证号": resident, "手机号码": lambda dice: f"13{dice.randrange(10**9):09d}", "银行卡号": lambda dice: luhn(f"6222{dice.randrange(10**14):014d}"),
        "电子邮箱": lambda dice: f"user{dice.randrange(10**6)}@example.cn", "终端硬件地址": lambda dice: ":".join(f"{dice.randrange(256):02x}" for _ in range(6)),
    }  # fmt: skip
    for name, make in made.items():
        verdict = judge(column(make), classes)
        assert classes.items[verdict.item].zh == name
        assert verdict.confidence >= 0.9
        assert verdict.votes[0].by == "recogniser"


@pytest.mark.parametrize(
    ("about", "values"),
    [
        ("an 11-digit counter in the range of phones", [str(13_800_000_000 + n) for n in range(3000)]),
        ("an 11-digit counter with steps", [str(13_800_000_000 + 10 * n) for n in range(3000)]),
        ("11 digits at random", [str(random.Random(n).randrange(10**10, 10**11)) for n in range(3000)]),
        ("a 19-digit serial that begins like a card", [f"62{random.Random(n).randrange(10**17):017d}" for n in range(3000)]),
        ("a 19-digit serial that counts", [str(6_222_020_000_000_000_000 + n) for n in range(3000)]),
        ("16 digits of a clock in microseconds", [str(1_795_000_000_000_000 + 7919 * n) for n in range(3000)]),
        ("18 digits of an order number", [f"20261121{random.Random(n).randrange(10**10):010d}" for n in range(3000)]),
        ("dates", [f"2026-{m:02d}-{d:02d}" for m in range(1, 13) for d in range(1, 28)]),
    ],
)
def test_numbers_that_only_look_like_it_are_nothing(about, values, classes):
    verdict = judge(Column("value", values=values), classes)
    assert (verdict.item, verdict.level) == ("", DataLevel.L2), verdict.votes


def test_a_year_code_is_no_security_code_and_a_security_code_is(classes):
    year = judge(Column("YEAR_CODE", values=[str(year) for year in range(1999, 2027)]), classes)
    assert classes.items[year.item].zh == "年份代码"
    assert not [vote for vote in year.votes if classes.items[vote.item].zh == "卡片安全码" and vote.weight > 0]
    named_badly = judge(Column("CVV_YEAR", values=[str(year) for year in range(1999, 2027)]), classes)
    assert classes.items[named_badly.item].zh != "卡片安全码"
    code = judge(Column("card_cvv2", values=[f"{n:03d}" for n in range(200)]), classes)
    assert (classes.items[code.item].zh, code.level) == ("卡片安全码", 4)


def test_a_mixed_column_is_as_high_as_the_highest_in_it(classes):
    dice = random.Random(5)
    values = [f"客户来电 {n}" for n in range(900)] + [f"客户 13{dice.randrange(10**9):09d} 来电" for _ in range(90)] + [f"身份证：{resident(dice)}。" for _ in range(60)]
    verdict = judge(Column("remark", "备忘", values), classes)
    assert verdict.item == ""
    assert {classes.items[code].zh for code in verdict.contained} == {"手机号码", "居民身份证号"}
    assert verdict.level == 4


def test_a_dirty_column_is_still_known(classes):
    dice = random.Random(6)
    values = [f"13{dice.randrange(10**9):09d}" for _ in range(700)] + [f"+86 15{dice.randrange(10**9):09d}" for _ in range(100)] + ["无", "-", "NULL", "13800", "转接", None, "", *(f"备注{n}" for n in range(100))]
    verdict = judge(Column("c9", values=values), classes)
    assert classes.items[verdict.item].zh == "手机号码"


@pytest.mark.parametrize(
    ("name", "comment", "values", "item"),
    [
        ("khsjh", "", ["13812345678", "15912345678"], "手机号码"),
        ("custMobileNo", "", [], "手机号码"),
        ("f07", "客户手机号码", [], "手机号码"),
        ("trading_code", "", [f"{n:08d}" for n in range(400)], "交易编码"),
        ("fund_account", "资金账号", [f"80{n:06d}" for n in range(400)], "资金账号"),
        ("instrument_id", "", ["cu2612", "SR605", "IF2612"], "合约代码"),
        ("src_ip", "", ["10.0.0.1", "10.0.0.2", "10.0.0.3"], "内部网络地址"),
        ("client_ip", "", ["10.0.0.1", "10.0.0.2", "10.0.0.3"], "终端网络地址"),
        ("legal_person", "", ["张三", "李四", "王五"], "法定代表人"),
        ("phone_type", "", ["1", "2"], ""),
        ("证件类型", "", ["01", "02"], ""),
        ("is_mobile", "", ["0", "1"], ""),
    ],
)
def test_names_and_comments_speak_in_three_languages(name, comment, values, item, classes):
    verdict = judge(Column(name, comment, values), classes)
    assert (classes.items[verdict.item].zh if verdict.item else "") == item, verdict.votes


def test_values_contradict_a_name(classes):
    alone = judge(Column("mobile"), classes)
    denied = judge(Column("mobile", values=[f"model {n}" for n in range(100)]), classes)
    assert denied.confidence < alone.confidence / 2
    assert any(vote.weight < 0 for vote in denied.votes)


# -- names ---------------------------------------------------------------------------------------------------------


def test_a_root_is_a_whole_word_and_the_longest_counts():
    dictionary = Dictionary({"a": ["card_no"], "b": ["card"], "c": ["客户手机"], "d": ["手机"]})
    assert [said.item for said in dictionary.look("CARD_NO")] == ["a"]
    assert dictionary.look("discard_note") == []
    assert [said.item for said in dictionary.look("客户手机号")] == ["c"]
    assert words("HTTPServer_id2") == ["http", "server", "id", "2"]


# -- the list of classes -------------------------------------------------------------------------------------------


@pytest.mark.covers("XA6")
def test_the_list_that_ships_has_its_sizes_and_a_level_for_every_item(classes):
    assert (len(classes.classes), len(classes.subclasses), len(classes.items)) == (16, 66, 359)
    assert {item.level for item in classes.items.values()} == set(DataLevel)
    assert all(classes.place(code)[2].code == code for code in classes.items)
    assert "no copy of a standard" in SHIPPED.read_text("utf-8")


def broken(change):
    entry = yaml.safe_load(SHIPPED.read_text("utf-8"))
    change(entry)
    with pytest.raises(Invalid) as fault:
        built(entry, "mine.yaml")
    return fault.value.why


def first(entry):
    return entry["classes"][0]["subclasses"][0]["items"][0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda entry: first(entry).update(level=5), "010101: the level is one of 1, 2, 3, 4"),
        (lambda entry: first(entry).update(code="020101"), "020101: a code begins with that of what it is part of (0101)"),
        (lambda entry: first(entry).pop("en"), "010101: en missing"),
        (lambda entry: first(entry).update(kinds="person"), "010101: no recogniser is called person"),
        (lambda entry: first(entry).update(shape="("), "010101: the shape is no RE2 pattern"),
        (lambda entry: first(entry).update(zh="性别"), "性别: two items have this name"),
        (lambda entry: first(entry).update(colour="red"), "010101: unknown entry colour"),
        (lambda entry: entry["classes"][0].update(subclasses=[]), "01: nothing is below it"),
        (lambda entry: entry["rules"]["aggregation"][0].update(items=["99"]), "rules: 99 begins no item"),
        (lambda entry: entry["rules"].update(default="high"), "rules: ValueError"),
        (lambda entry: entry.clear(), "it has no list “classes”"),
    ],
)
def test_a_fault_in_the_list_is_told_with_its_place(change, why):
    assert why in broken(change)


def test_all_faults_are_told_at_once():
    def spoil(entry):
        first(entry).update(level=9, kinds="x")
        entry["classes"][1]["zh"] = ""

    assert len(broken(spoil).split("; ")) == 3


# -- levels --------------------------------------------------------------------------------------------------------

RULES = Rules(mass=(Mass(("01",), 1000),), expiry=(Expiry(("05",), 365, DataLevel.L1),))


@pytest.mark.parametrize(
    ("contained", "known", "level", "why"),
    [
        ({}, Known(), 2, ["default"]),
        ({"0101": 2, "0102": 3}, Known(), 3, ["contains"]),
        ({"0101": 3}, Known(records=999), 3, ["contains"]),
        ({"0101": 3}, Known(records=1000), 4, ["contains", "mass"]),
        ({"0101": 4}, Known(records=1000), 4, ["contains"]),
        ({"0101": 3}, Known(records=1000, masked=0.99), 2, ["contains", "masked"]),
        ({"0101": 1}, Known(masked=1.0), 1, ["contains"]),
        ({"0501": 3}, Known(age=366), 1, ["contains", "expiry"]),
        ({"0501": 3, "0101": 3}, Known(age=366), 3, ["contains"]),
    ],
)
def test_the_level_is_the_highest_contained_raised_and_lowered_with_reasons(contained, known, level, why):
    got, steps = level_of("", {code: DataLevel(one) for code, one in contained.items()}, known, RULES)
    assert (got, [step.rule for step in steps]) == (level, why)


def test_who_how_to_reach_them_and_what_they_own_say_more_together(classes):
    name = Column("客户姓名", values=["张三", "李四"])
    phone = Column("mobile", values=["13812345678", "13912345678"])
    money = Column("balance", values=["1", "2"])
    apart, whole = judge_table([name, phone], classes), judge_table([name, phone, money], classes)
    assert [int(verdict.level) for verdict in apart] == [3, 3]
    assert [int(verdict.level) for verdict in whole] == [4, 4, 4]
    assert whole[0].steps[-1].rule == "together"


# -- the model -----------------------------------------------------------------------------------------------------


def test_reviewers_teach_what_no_rule_knows_and_the_model_says_why(classes):
    model, odd = Model(), Column("zq_hz", values=[f"ZQ-{n}" for n in range(50)])
    assert judge(odd, classes, model=model).item == ""
    lesson = judge(odd, classes)
    for _ in range(3):
        model.teach(lesson.features, "030301")
    taught = judge(odd, classes, model=Model.of_json(model.to_json()))
    assert taught.item == "030301"
    vote = next(vote for vote in taught.votes if vote.by == "model")
    assert "name:zq" in vote.why
    assert judge(Column("unheard_of", values=["a b c"]), classes, model=model).item == ""


@given(st.lists(st.tuples(st.lists(st.sampled_from("abcde"), min_size=1), st.sampled_from(["1", "2"])), max_size=20))
def test_the_model_survives_as_text_and_its_chances_are_chances(lessons):
    model = Model()
    for features, item in lessons:
        model.teach(features, item)
    again = Model.of_json(model.to_json())
    for features, _ in lessons:
        assert again.guess(features) == model.guess(features)
        assert 0 <= sum(guess.probability for guess in model.guess(features)) <= 1.000001
