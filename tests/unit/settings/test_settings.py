"""Settings from a file, and the error messages for mistakes in it."""

from pathlib import Path

import pytest

from node.delivery.factory import wanted_objects
from node.domain.errors import Misconfigured
from node.domain.findings import FindingKind
from node.domain.result_objects import SEG
from node.domain.series import AcquisitionChoice
from node.inference.configured_models import result_texts
from node.settings import FolderDestination, load_settings
from tests.unit.settings.site import VALID, line_of, mistakes_in, write


def test_without_a_file_ct_results_go_to_the_archive_folder(tmp_path: Path) -> None:
    settings = load_settings(None)
    assert settings.file is None
    assert [rule.destinations for rule in settings.rules] == [("archive",)]
    archive = settings.destinations["archive"]
    assert isinstance(archive, FolderDestination)
    assert archive.path == settings.data_dir / "archive"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, VALID))
    assert settings.data_dir == tmp_path / "data"
    assert settings.database_url == f"sqlite:///{tmp_path}/data/segnode.db"


def test_a_file_with_rules_replaces_the_default_rule(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, VALID))
    assert set(settings.destinations) == {"pacs"}
    assert len(settings.rules) == 1


def test_a_destination_names_its_objects(tmp_path: Path) -> None:
    settings = 'objects = ["seg", "sr", "pdf"]\nsegmentation = "labelmap"\nfallback = ["capture"]\n'
    text = VALID.replace('kind = "cstore"', f'{settings}kind = "cstore"')
    wanted = wanted_objects(load_settings(write(tmp_path, text)))["pacs"]
    assert [each.name for each in wanted.objects] == ["seg-labelmap", "sr-labelmap", "pdf"]
    assert [each.name for each in wanted.fallback] == ["capture"]


def test_a_destination_gets_the_seg_unless_it_says_otherwise(tmp_path: Path) -> None:
    wanted = wanted_objects(load_settings(write(tmp_path, VALID)))["pacs"]
    assert (wanted.objects, wanted.fallback) == ((SEG,), ())


def test_a_rule_names_the_findings_that_mark_and_hold(tmp_path: Path) -> None:
    keys = 'mark_on = ["holes", "unusual-volume"]\nhold_on = ["several-components"]\nmodel ='
    (rule,) = load_settings(write(tmp_path, VALID.replace("model =", keys))).rules
    assert rule.mark_on == {FindingKind.HOLES, FindingKind.UNUSUAL_VOLUME}
    assert rule.hold_on == {FindingKind.SEVERAL_COMPONENTS}


def test_a_rule_sets_from_which_agreement_on_two_models_agree(tmp_path: Path) -> None:
    (default,) = load_settings(write(tmp_path, VALID)).rules
    assert default.min_agreement == 0.9
    keys = 'min_agreement = 0.75\nhold_on = ["models-disagree", "windows-disagree"]\nmodel ='
    (rule,) = load_settings(write(tmp_path, VALID.replace("model =", keys))).rules
    assert rule.min_agreement == 0.75
    assert rule.hold_on == {FindingKind.MODELS_DISAGREE, FindingKind.WINDOWS_DISAGREE}


def test_a_rule_chooses_among_acquisitions(tmp_path: Path) -> None:
    (default,) = load_settings(write(tmp_path, VALID)).rules
    assert default.acquisitions is None
    text = VALID.replace("model =", 'acquisitions = "most-slices"\nmodel =')
    (rule,) = load_settings(write(tmp_path, text)).rules
    assert rule.acquisitions is AcquisitionChoice.MOST_SLICES


def _two_rules(first: str, second: str, *, second_when: str = "") -> str:
    """A configuration with two rules for one model and these choices among acquisitions."""
    rule = VALID[VALID.index("[[rules]]") :]
    when = rule[rule.index("when =") :]
    other = rule.replace('"liver"', '"other"').replace(when, f"{second_when or when}\n")
    one = VALID.replace("model =", f'acquisitions = "{first}"\nmodel =')
    return one + other.replace("model =", f'acquisitions = "{second}"\nmodel =')


_THIN = """when = { all = [
  { attribute = "SliceThickness", range = [0, 2] }, { attribute = "Modality", equals = "CT" } ] }"""


@pytest.mark.parametrize("when", ["", _THIN])
def test_a_choice_that_an_earlier_rule_always_overrides_is_a_mistake(
    when: str, tmp_path: Path
) -> None:
    text = _two_rules("first", "each", second_when=when)
    (mistake,) = mistakes_in(tmp_path, text)
    line = line_of(text, 'acquisitions = "each"')
    assert mistake.startswith(f"site.toml:{line}: ")
    assert "never applies: rule 'liver' comes first" in mistake


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(_two_rules("each", "each"), id="equal choices"),
        pytest.param(
            _two_rules("first", "each", second_when='when = { attribute = "KVP", equals = "80" }'),
            id="other conditions",
        ),
        pytest.param(
            _two_rules("first", "each").replace('"liver-ct"', '"organs-ct"', 1), id="model"
        ),
    ],
)
def test_choices_that_may_apply_are_accepted(text: str, tmp_path: Path) -> None:
    assert len(load_settings(write(tmp_path, text)).rules) == 2


def test_a_rule_inherits_the_sites_quiet_time_unless_it_sets_its_own(tmp_path: Path) -> None:
    other = VALID[VALID.index("[[rules]]") :].replace('"liver"', '"quick"')
    text = "quiet_seconds = 7\n" + VALID + other.replace("when", "quiet_seconds = 2\nwhen")
    settings = load_settings(write(tmp_path, text))
    assert [rule.quiet_seconds for rule in settings.rules] == [7.0, 2.0]


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("data_dir", "data_dri", "unknown setting (did you mean 'data_dir'?)"),
        ("port = 4242", "port = 424242", "must be from 1 to 65535, not 424242"),
        ("port = 4242", "prot = 4242", "unknown setting (did you mean 'port'?)"),
        ('"PACS"', '"A TITLE THAT IS TOO LONG"', "an AE title has 1 to 16 characters"),
        ('kind = "cstore"', 'kind = "cstor"', "there is no kind 'cstor' (did you mean 'cstore'?)"),
        ('peer = "pacs"', 'peer = "pac"', "there is no peer 'pac' (did you mean 'pacs'?)"),
        ('["pacs"]', '["pcas"]', "there is no destination 'pcas' (did you mean 'pacs'?)"),
        ('["pacs"]', "[]", "must be a list of at least one name"),
        ('"liver-ct"', '"liver-tc"', "there is no model 'liver-tc' (did you mean 'liver-ct'?)"),
        ('"Modality"', '"Modalitty"', "is not a DICOM keyword (did you mean 'Modality'?)"),
        ("equals", "equal", "unknown condition (did you mean 'equals'?)"),
        ('kind = "cstore"', 'objects = []\nkind = "cstore"', "must not be empty"),
        ('kind = "cstore"', 'objects = ["sag"]\nkind = "cstore"', "must be 'seg', 'sr'"),
        ('kind = "cstore"', 'objects = ["sr", "sr"]\nkind = "cstore"', "'sr' is named twice"),
        ('kind = "cstore"', 'segmentation = "label"\nkind = "cstore"', "must be 'all-frames'"),
        ('kind = "cstore"', 'fallback = "capture"\nkind = "cstore"', "must be a list"),
        (
            'kind = "cstore"',
            'deflated = true\nsegmentation = "labelmap"\nkind = "cstore"',
            'has no effect with segmentation = "labelmap"',
        ),
        (
            'kind = "cstore"',
            'deflated = true\nobjects = ["pdf"]\nkind = "cstore"',
            'has no effect without "seg"',
        ),
        ('kind = "cstore"', 'deflated = "yes"\nkind = "cstore"', "must be true or false"),
        ('kind = "cstore"', 'deflated = "true"\nkind = "cstore"', "must be true or false"),
        ('kind = "cstore"', 'refusal_notice = 1\nkind = "cstore"', "must be true or false"),
        (
            'equals = "CT" }',
            'equals = "CT", matches = "MR" }',
            "can never hold: Modality equals CT excludes Modality matches 'MR'",
        ),
        ("model =", 'hold_on = ["hole"]\nmodel =', "no finding 'hole' (did you mean 'holes'?)"),
        ("model =", 'mark_on = "holes"\nmodel =', "must be a list of findings"),
        ("model =", 'priority = "now"\nmodel =', 'must be "stat" or "routine"'),
        ("model =", "priority = 1\nmodel =", 'must be "stat" or "routine"'),
        ("model =", 'acquisitions = "all"\nmodel =', 'must be "refuse" or "first" or "last"'),
        ("model =", "acquisitions = 1\nmodel =", 'must be "refuse" or "first" or "last"'),
        ("model =", "min_agreement = 90\nmodel =", "must be a number from 0 to 1"),
        ("model =", 'min_agreement = "0.9"\nmodel =', "must be a number from 0 to 1"),
        ("model =", "min_agreement = true\nmodel =", "must be a number from 0 to 1"),
        ("model =", "modle =", "unknown setting of a rule (did you mean 'model'?)"),
        ('equals = "CT"', 'matches = "(CT"', "is not a regular expression"),
        ('equals = "CT"', 'matches = "^(?!MR)"', "holds a look-around"),
        ('equals = "CT"', "range = [5, 1]", "the lower end 5 lies above the upper end 1"),
        ('"Modality", equals = "CT"', '"KVP", at_least_slices = 5', "nothing is asked of KVP"),
        ('attribute = "Modality", equals = "CT"', 'from_ae = ["PAC5"]', "did you mean 'PACS'?"),
        ('["pacs"]', '["pacs", "pacs"]', "'pacs' is named twice"),
        ("[destinations.pacs]\nkind", "[destinations.pacs]\nkin", "kind is missing; one of cstore"),
        ('peer = "pacs"', 'pear = "pacs"', "unknown setting (did you mean 'peer'?)"),
        ('host = "localhost"', "host = 5", "must be text in quotation marks"),
        ('host = "localhost"', 'host = "my server"', "must be a name such as"),
        ("port = 4242", "port = true", "must not be true or false"),
        ('data_dir = "data"', "quiet_seconds = true", "must not be true or false"),
        ('data_dir = "data"', 'data_dir = ""', "must not be empty"),
        ('data_dir = "data"', 'web = { names = ["a b"] }', "must be a name such as"),
        ('data_dir = "data"', 'sources = { x = { url = "http://s:99999/x" } }', "an address such"),
        ('data_dir = "data"', 'sources = { x = { url = "server/x" } }', "an address such"),
        (
            'data_dir = "data"',
            'alerts = { webhook = { url = "chat" } }',
            "must be an address such as https://chat.hospital.example/hooks/segnode",
        ),
        ("port = 4242", 'port = "x"', "must be a whole number"),
        ('data_dir = "data"', "data_dir = 5", "must be a path in quotation marks"),
        ('data_dir = "data"', 'quiet_seconds = "soon"', "must be a number"),
        ('data_dir = "data"', "quiet_seconds = inf", "must be above 0 and at most 86400"),
        ('data_dir = "data"', "catalogues = 5", "must be a list"),
        ('data_dir = "data"', 'catalogues = ["here"]', "there is no folder"),
        ('data_dir = "data"', "listener = 5", "must be a table, such as [listener]"),
        ('data_dir = "data"', 'web = { data_dir = "data" }', "it belongs at the top of the file"),
        ('data_dir = "data"', "web = { port = 11112 }", "the listener uses port 11112 already"),
        ('data_dir = "data"', 'worker = { device = "gpu" }', 'must be "auto", "cpu", "mps"'),
        ('data_dir = "data"', 'database_url = "mysql://x"', "must begin with sqlite:///"),
        ('data_dir = "data"', 'result = { series_description = "" }', "must have 1 to 64"),
        (
            'data_dir = "data"',
            'result = { series_description = "{organ}" }',
            "there is no field {organ}; the fields are {organs}, {model}",
        ),
        (
            'data_dir = "data"',
            'result = { series_number = "source" }',
            'such as "900 + {source_number}"',
        ),
        ('data_dir = "data"', "result = { series_number = -1 }", "must be a whole number"),
        ('data_dir = "data"', "result = { series_number = true }", "must be a whole number"),
        ('data_dir = "data"', "result = { series_number = 2147483648 }", "at most 2147483647"),
        ('data_dir = "data"', 'result = { colours = "grey" }', "must be 'distinct'"),
        (
            'data_dir = "data"',
            'sources = { x = { url = "http://me:pw@x" } }',
            "no name and password",
        ),
        ('data_dir = "data"', "retention = { free_gib = 0.5 }", "nothing would come in"),
        ('data_dir = "data"', "retention = { keep_days = 0 }", "must be above 0"),
        (
            'data_dir = "data"',
            "delivery = { first_retry_seconds = 9999 }",
            "is below first_retry_seconds",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_line(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    text = VALID.replace(right, wrong, 1)
    mistakes = mistakes_in(tmp_path, text)
    prefix = f"site.toml:{line_of(text, wrong.splitlines()[0])}: "
    assert any(m.startswith(prefix) and message in m for m in mistakes), mistakes


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("[destinations.pacs]", "[destination.pacs]"),
        ("[peers.pacs]", "[peer.pacs]"),
        ("[[rules]]", "[[rule]]"),
        ("[[rules]]", "[rule]"),
    ],
)
def test_a_misspelt_table_has_its_line_and_causes_no_other_mistake(
    tmp_path: Path, right: str, wrong: str
) -> None:
    text = VALID.replace(right, wrong)
    (mistake,) = mistakes_in(tmp_path, text)
    name, meant = (part.strip("[]").split(".")[0] for part in (wrong, right))
    prefix = f"site.toml:{line_of(text, wrong)}: {name}: "
    assert mistake == f"{prefix}there is no table [{name}] (did you mean {meant!r}?)"


def test_a_list_with_a_wrong_item_is_not_called_empty(tmp_path: Path) -> None:
    text = f'{VALID}[worklists.w]\nurl = "http://w/x"\ntasks = [{{ code = "A", rule = "liver" }}]\n'
    (mistake,) = mistakes_in(tmp_path, text)
    assert mistake.endswith("worklists.w.tasks.1.scheme: is missing")


def test_an_unknown_sender_is_compared_with_ae_titles_and_with_sources(tmp_path: Path) -> None:
    sources = '[sources.orthanc]\nurl = "http://o/dicom-web"\n'
    text = VALID.replace('attribute = "Modality", equals = "CT"', 'from_ae = ["X1", "PAC"]')
    unknown, misspelt = mistakes_in(tmp_path, text + sources)
    assert "'X1'; the peers have PACS; the sources are orthanc" in unknown
    assert "'PAC' (did you mean 'PACS'?)" in misspelt


def test_the_items_of_a_list_count_from_one(tmp_path: Path) -> None:
    mistake = mistakes_in(tmp_path, VALID.replace('["pacs"]', '["pacs", "psca"]'))[0]
    assert ": rules.1.destinations.2: there is no destination 'psca'" in mistake


def test_a_path_may_begin_with_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = load_settings(write(tmp_path, VALID.replace('"data"', '"~/data"')))
    assert settings.data_dir == tmp_path / "home" / "data"


def test_mistakes_are_reported_in_line_order(tmp_path: Path) -> None:
    text = VALID.replace("4242", "0").replace("equals", "equal").replace("data_dir", "datadir")
    lines = [m.split(":")[1] for m in mistakes_in(tmp_path, text)]
    assert lines == sorted(lines, key=int)
    assert len(lines) == 3


def test_a_mistake_in_a_nested_condition_over_several_lines_has_its_line(tmp_path: Path) -> None:
    text = VALID.replace(
        'when = { attribute = "Modality", equals = "CT" }',
        "[rules.when]\nall = [\n"
        '  { attribute = "Modality", equals = "CT" },  # fine\n'
        "  # a comment between\n"
        "  { any = [\n    { at_least_slices = 3 },\n    { at_most_slices = 9 },\n  ] },\n]",
    )
    assert mistakes_in(tmp_path, text)[0].startswith(f"site.toml:{line_of(text, 'at_most')}: ")


def test_a_mistake_in_the_second_rule_has_its_own_line(tmp_path: Path) -> None:
    second = VALID[VALID.index("[[rules]]") :]
    text = VALID + second.replace('"liver"', '"other"').replace("Modality", "Modalty")
    assert mistakes_in(tmp_path, text)[0].startswith(f"site.toml:{line_of(text, 'Modalty')}: ")


def test_two_rules_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    text = VALID + VALID[VALID.index("[[rules]]") :]
    assert "there are two rules 'liver'" in mistakes_in(tmp_path, text)[0]


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "\ufeff" + VALID)).data_dir == tmp_path / "data"


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"missing\.toml: cannot be read"):
        load_settings(tmp_path / "missing.toml")


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, VALID))
    with pytest.raises(ValueError, match="frozen"):
        settings.listener.port = 5


def test_mistakes_of_different_types_are_reported_together(tmp_path: Path) -> None:
    text = (
        VALID.replace("4242", '"x"')
        .replace('peer = "pacs"', 'peer = "pax"')
        .replace('"liver-ct"', '"lung"')
        .replace('["pacs"]', '["nowhere"]')
        .replace("equals", "equal")
    )
    wrong = ('peer = "pax"', 'port = "x"', '"lung"', "nowhere", "equal =")
    mistakes = mistakes_in(tmp_path, text)
    assert [m.split(":")[1] for m in mistakes] == [str(line_of(text, part)) for part in wrong]


@pytest.mark.parametrize(
    ("configured", "number"),
    [
        ("900", 900),
        ('"900"', 900),
        ('"700 + {source_number}"', "700 + {source_number}"),
    ],
)
def test_a_series_number_is_fixed_or_a_rule(
    tmp_path: Path, configured: str, number: int | str
) -> None:
    text = VALID.replace("[", f"result = {{ series_number = {configured} }}\n[", 1)
    assert load_settings(write(tmp_path, text)).result.series_number == number


def test_the_texts_of_an_earlier_configuration_keep_their_meaning(tmp_path: Path) -> None:
    earlier = 'result = { series_description = "Segmentation, not for diagnostic use" }\n['
    settings = load_settings(write(tmp_path, VALID.replace("[", earlier, 1)))
    texts = result_texts(settings)
    assert texts.series_description == "Segmentation, not for diagnostic use"
    assert texts.models == ("liver-ct",)


@pytest.mark.parametrize(
    "url", ["https://v.example/{study}", "http://v/x?a={study}&b={series}", ""]
)
def test_the_viewer_of_the_site_has_an_address_with_the_study(tmp_path: Path, url: str) -> None:
    settings = load_settings(write(tmp_path, f'{VALID}\n[web]\nviewer_url = "{url}"\n'))
    assert settings.web.viewer_url == url


@pytest.mark.parametrize(
    "url",
    ["https://v.example/", "javascript:alert({study})", "https://v/{study}/{patient}", "{study}"],
)
def test_another_address_of_the_viewer_is_a_mistake(tmp_path: Path, url: str) -> None:
    text = f'{VALID}\n[web]\nviewer_url = "{url}"\n'
    (mistake,) = mistakes_in(tmp_path, text)
    assert "web.viewer_url" in mistake


def test_a_mistake_in_one_table_does_not_hide_what_another_one_excludes(tmp_path: Path) -> None:
    text = (
        f"quiet_secs = 3\n{VALID}"
        '[destinations.map]\nkind = "folder"\npath = "x"\nsegmentation = "labelmap"\n'
        "deflated = true\n"
        '[destinations.other]\nkind = "foldr"\npath = "x"\n'
    )
    unknown, no_effect, no_kind = mistakes_in(tmp_path, text)
    assert "site.toml:1: quiet_secs: unknown setting" in unknown
    assert "destinations.map.deflated: has no effect with segmentation" in no_effect
    assert "destinations.other.kind: there is no kind 'foldr'" in no_kind


_TLS_PEER = '[peers.ct]\nae_title = "CT"\nhost = "h"\nport = 1\ncertificate_name = "ct"\n'


@pytest.mark.parametrize(
    "text",
    [
        '[delivery]\nfirst_retry_seconds = "x"\nlongest_retry_seconds = 1\n',
        '[listener]\nport = "x"\n[web]\nport = 11112\n',
        '[web]\nport = "x"\n[listener]\nport = 8080\n',
        '[destinations.d]\nkind = "dicomweb"\nurl = "http://s/x"\nusername = 1\n'
        'password_env = "HOME"\n',
        f"{_TLS_PEER}[listener]\nport = 99999\ntls_port = 2762\n",
        f"{_TLS_PEER}[listner]\ntls_port = 2762\n",
        '[dicom_tls]\nminimum_version = "1"\n[listener]\ntls_port = 2762\n',
        '[web]\nport = "x"\n[dicom_tls]\ncertificate_file = "site.toml"\nca_file = "site.toml"\n'
        "[listener]\ntls_port = 8080\n",
        '[web]\nport = "x"\npublic_url = "https://n/"\nnames = ["n"]\n[access.oidc]\n'
        'issuer = "https://i/"\nclient_id = "c"\nroles = { g = "viewer" }\n',
    ],
)
def test_a_wrong_value_is_the_only_mistake_of_what_is_compared_with_it(
    tmp_path: Path, text: str
) -> None:
    assert len(mistakes_in(tmp_path, VALID + text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        'database_url = "oracle://h/x"\ndatabase_password_env = "HOME"\n',
        'store_url = "x"\nstore_access_key = "k"\nstore_secret_key_env = "HOME"\n',
    ],
)
def test_a_wrong_address_at_the_top_is_the_only_mistake(tmp_path: Path, text: str) -> None:
    (mistake,) = mistakes_in(tmp_path, text + VALID)
    assert "_url: " in mistake


def test_what_is_wrong_in_a_peer_is_reported_beside_a_wrong_port_of_the_listener(
    tmp_path: Path,
) -> None:
    text = VALID.replace("port = 4242", 'port = 4242\nserver_name = "pacs"')
    peer, port = mistakes_in(tmp_path, text + "[listener]\nport = 99999\n")
    assert "peers.pacs.server_name: has no effect without tls = true" in peer
    assert "listener.port: must be" in port


def test_a_wrong_limit_at_the_top_is_the_only_mistake(tmp_path: Path) -> None:
    text = f'least_free_gib = "x"\n{VALID}[retention]\nfree_gib = 0.5\n'
    (mistake,) = mistakes_in(tmp_path, text)
    assert "least_free_gib: must be a number" in mistake
