"""Keys, tokens and passwords, by the prefixes of their makers, by what stands before them, or by how they look."""

from __future__ import annotations

import re

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[^-]++|-(?!----END))*+(?:-----END [A-Z ]{0,40}-----)?"
)
_MADE_BY = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:
        eyJ[A-Za-z0-9_-]{6,}+(?:\.[A-Za-z0-9_-]*+){1,4}                                  # JWT
      | (?:sk|pk|rk|whsec|gh[opusr]|github_pat|glpat|glrt|gldt|hf|npm|pypi|dop_v1|shpat|shpss|xox[abeoprs]|xapp
          |lin_api|ntn|dckr_pat|r8|gsk|nvapi)[_-](?=[A-Za-z_-]*+\d)[A-Za-z0-9_-]{12,}+
      | SG\.[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10,}+
      | (?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}+
      | AIza[A-Za-z0-9_-]{20,}+
      | ya29\.[A-Za-z0-9_-]{10,}+
    )""",
    re.VERBOSE,
)
_AUTHORIZATION = re.compile(
    r"\b(bearer|basic|token)([ \t]{1,3})(?=[^\s\[\]]*[\d=+/])[^\s\[\],;\"']{8,}+", re.IGNORECASE
)
_ASSIGNED = re.compile(
    r"""(?<![A-Za-z])(
          (?: password|passwd|passphrase|passcode|pwd|secret|token|credentials?|api[ _-]?key
            | (?:secret|private|access|auth|signing|encryption)[ _-]?key
            | (?:access|auth|refresh|id|session|bearer|csrf)[ _-]?token|client[ _-]?secret|session[ _-]?id
            | passwort|kennwort|contraseña|senha|wachtwoord|mot[ ]de[ ]passe|パスワード|密码|비밀번호
          )["']?[ \t]{0,3}([:=：])[ \t]{0,3}["']?
        )([^\s\[\]"',;&]{4,}+)""",
    re.VERBOSE | re.IGNORECASE,
)
_SIGN = re.compile("[:=：]")
_LONG = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{20,}+")
_UUID = re.compile(r"(?<![0-9a-f-])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![0-9a-f])", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """``text`` with ``[secret]`` for keys, tokens and passwords and ``[id]`` for UUIDs."""
    text = _PRIVATE_KEY.sub("[secret]", text)
    text = _MADE_BY.sub("[secret]", text)
    text = _AUTHORIZATION.sub(r"\1\2[secret]", text)
    if _SIGN.search(text):
        text = _ASSIGNED.sub(_assigned, text)
    text = _UUID.sub("[id]", text)
    return _LONG.sub(_long, text)


def _assigned(found: re.Match[str]) -> str:
    """After ``:`` an ordinary word may follow ("password: forgotten"); after ``=`` none does."""
    named, sign, value = found.groups()
    return f"{named}[secret]" if sign == "=" or not value.rstrip(".?!)").isalpha() else found[0]


def _long(found: re.Match[str]) -> str:
    """Words and numbers are neither; a random string of letters and digits is both."""
    run = found[0]
    digits = sum(map(str.isdigit, run))
    return "[secret]" if digits >= 3 and len(run) - digits >= 3 else run
