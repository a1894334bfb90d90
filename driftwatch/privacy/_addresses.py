"""E-mail addresses, what URLs carry beside the page, and IPv6 addresses."""

from __future__ import annotations

import ipaddress
import re

_URL = re.compile(
    r"\b([a-z][a-z0-9+.-]{1,20}://)([^\s/?#]*+)([^\s?#]*+)(\?[^\s#]*+)?(#\S*+)?",
    re.IGNORECASE,
)
_QUERY = re.compile(r"(?<=[\w/])\?(?!\[query\])[\w.%\[\]-]++=\S*+")

_LATIN_GREEK_CYRILLIC = r"A-Za-z0-9\u00c0-\u024f\u0370-\u03ff\u0400-\u052f"
_EMAIL = re.compile(
    rf"(?<![{_LATIN_GREEK_CYRILLIC}._%+-])[{_LATIN_GREEK_CYRILLIC}._%+-]++[@＠]"
    rf"[{_LATIN_GREEK_CYRILLIC}-]++(?:\.[{_LATIN_GREEK_CYRILLIC}-]++)++"
)
"""First the alphabets that are written with spaces: in 请联系a@example.com谢谢 only the address is one."""
_EMAIL_ANY = re.compile(r"(?<![\w.%+-])[\w.%+-]++[@＠][\w-]++(?:\.[\w-]++)++")

_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f:]{2,}+(?:\.\d{1,3}){0,3}", re.IGNORECASE)
_LONGEST_IPV6 = 45


def without_addresses(text: str) -> str:
    """``text`` without credentials, queries and fragments of URLs, e-mail addresses and IPv6 addresses."""
    if "://" in text:
        text = _URL.sub(_page, text)
    if "?" in text and "=" in text:
        text = _QUERY.sub("?[query]", text)
    if "@" in text or "＠" in text:
        text = _EMAIL_ANY.sub("[email]", _EMAIL.sub("[email]", text))
    if ":" in text:
        text = _IPV6.sub(_ipv6, text)
    return text


def _page(found: re.Match[str]) -> str:
    """The URL with its scheme, host and path only."""
    scheme, authority, path, query, fragment = found.groups("")
    credentials, _, host = authority.rpartition("@")
    return "".join(
        (
            scheme,
            "[credentials]@" if credentials else "",
            host,
            path,
            "?[query]" if len(query) > 1 else query,
            "#[fragment]" if "=" in fragment else fragment,
        )
    )


def _ipv6(found: re.Match[str]) -> str:
    address = found[0]
    if address.count(":") < 2 or len(address) > _LONGEST_IPV6 or not any(map(str.isdigit, address)):
        return address
    try:
        ipaddress.IPv6Address(address.rstrip(":") if not address.endswith("::") else address)
    except ValueError:
        return address
    return "[ip]"
