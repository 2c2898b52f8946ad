"""Rights: whom the service runs as.

Root is needed to bind a port below 1024 or a socket in a folder of root's, and for nothing else: no
handler, and no octet of anybody's mail, is seen by a process that may still become root.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

from ..settings import ServiceSettings
from .failure import CannotStart


@dataclass(frozen=True, slots=True)
class Rights:
    """A user and groups to become."""

    user: str
    uid: int
    gid: int

    def take(self) -> None:
        """Become that user, for good."""
        os.initgroups(self.user, self.gid)
        os.setgid(self.gid)
        os.setuid(self.uid)
        os.environ.update(HOME=pwd.getpwuid(self.uid).pw_dir, USER=self.user, LOGNAME=self.user)

    def own(self, path: str) -> None:
        """Give a file to that user and group."""
        os.chown(path, self.uid, self.gid)


def rights(settings: ServiceSettings) -> Rights | None:
    """Whom to become; None to stay who we are. Raises CannotStart for who is not there, or not to be had."""
    if settings.user is None:
        if settings.group is not None:
            raise CannotStart(f"[service] group: {settings.group} needs a user; name one in [service] user")
        return None
    try:
        user = pwd.getpwnam(settings.user)
    except KeyError as error:
        mend = f"make it with: useradd --system {settings.user}"
        raise CannotStart(f"[service] user: there is no user {settings.user}; {mend}") from error
    try:
        gid = user.pw_gid if settings.group is None else grp.getgrnam(settings.group).gr_gid
    except KeyError as error:
        raise CannotStart(f"[service] group: there is no group {settings.group}") from error
    if os.geteuid() != 0:
        if (user.pw_uid, gid) == (os.geteuid(), os.getegid()):
            return None
        raise CannotStart(
            f"[service] user: only root can become {settings.user}, and this is user {os.geteuid()}; "
            "start it as root, or as that user and group, or leave the keys out"
        )
    return Rights(settings.user, user.pw_uid, gid)
