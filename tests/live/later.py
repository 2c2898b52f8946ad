"""A milter behind ours, for test_doors.py: at the end of a message it does what the field X-Later says.

`python later.py inet:PORT@127.0.0.1`. It is written on pymilter's own high level, of which penstock uses nothing.
"""

import sys
import time

import Milter

seen = set()


class Later(Milter.Base):
    def envfrom(self, sender, *parameters):
        self.wish = self.message_id = None
        return Milter.CONTINUE

    def header(self, name, value):
        if name == "X-Later":
            self.wish = value
        elif name == "Message-ID":
            self.message_id = value
        return Milter.CONTINUE

    def eom(self):
        first = self.message_id not in seen
        seen.add(self.message_id)
        if self.wish == "reject":
            self.setreply("550", "5.7.1", "Refused by a later milter")
            return Milter.REJECT
        if self.wish == "reject at first" and first:
            self.setreply("451", "4.7.1", "Deferred by a later milter")
            return Milter.TEMPFAIL
        if self.wish == "wait":
            time.sleep(1)
        return Milter.CONTINUE


Milter.factory = Later
Milter.runmilter("later", sys.argv[1], 60)
