from node.web.console.models.card import card_html


def test_headings_stand_below_that_of_the_model() -> None:
    html = card_html("# liver-ct\n\n## How it was tested\n\n###### Small\n")
    assert "<h4>liver-ct</h4>" in html
    assert "<h5>How it was tested</h5>" in html
    assert "<h6>Small</h6>" in html


def test_tables_are_tables() -> None:
    html = card_html("| organ | mean |\n|---|---|\n| liver | 0.944 |\n")
    assert "<td>liver</td>\n<td>0.944</td>" in html


def test_a_picture_is_its_description() -> None:
    html = card_html('![The "liver" in <b>CT</b>](phantom.png)')
    assert "<em>Picture: The &#34;liver&#34; in &lt;b&gt;CT&lt;/b&gt;</em>" in html
    assert "phantom.png" not in html


def test_a_card_runs_nothing() -> None:
    html = card_html(
        "<script>a()</script> <img src=x onerror=b()> `<script>` "
        '[c](javascript:c()) [d](data:text/html,x "y")'
    )
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="' not in html
