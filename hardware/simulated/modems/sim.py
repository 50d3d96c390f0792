"""A SIM card: its PIN, its three tries, its PUK, its ten. It keeps its count when the modem loses its supply.

3GPP TS 31.101 clause 9 (PIN) and 9.5 (unblocking); the answers are those of `+CPIN`, TS 27.007 clause 8.3.
"""

from typing import Final

TRIES: Final = 3
PUK_TRIES: Final = 10
NO_SIM, WANTS_PIN, WANTS_PUK, FAILED, BUSY, WRONG = 10, 11, 12, 13, 14, 16
"""Numbers of `+CME ERROR`."""


class SimCard:
    """One card. `pin` "" asks for none."""

    def __init__(self, pin: str = "", puk: str = "12345678", tries: int = TRIES, imsi: str = "255019012345678") -> None:
        self._pin, self._puk = pin, puk
        self.tries, self.puk_tries = tries, PUK_TRIES
        self.imsi = imsi
        self.iccid = "8938001" + imsi[-12:]
        self.is_there = True
        self.wrong_tries = 0
        """All that were ever made: what a driver is judged by."""
        self._is_open = not pin

    def insert(self) -> None:
        """The modem starts: the card wants its PIN again."""
        self._is_open = not self._pin and self.tries > 0

    @property
    def trouble(self) -> int:
        """Why it cannot be used, as a number of `+CME ERROR`; 0 when it can."""
        if not self.is_there:
            return NO_SIM
        if self.puk_tries <= 0:
            return FAILED
        if self.tries <= 0:
            return WANTS_PUK
        return 0 if self._is_open else WANTS_PIN

    @property
    def state(self) -> str:
        """The answer to `+CPIN?`; "" when the answer is an error."""
        return {0: "READY", WANTS_PIN: "SIM PIN", WANTS_PUK: "SIM PUK"}.get(self.trouble, "")

    def enter(self, pin: str) -> int:
        """Try a PIN; return 0, or a number of `+CME ERROR`."""
        if self.trouble != WANTS_PIN:
            return self.trouble or 3
        if pin == self._pin:
            self.tries, self._is_open = TRIES, True
            return 0
        self.tries -= 1
        self.wrong_tries += 1
        return WRONG if self.tries else WANTS_PUK

    def unblock(self, puk: str, pin: str) -> int:
        """Try the PUK, with a new PIN; return 0, or a number of `+CME ERROR`."""
        if self.trouble != WANTS_PUK:
            return self.trouble or 3
        if puk == self._puk:
            self._pin, self.tries, self.puk_tries, self._is_open = pin, TRIES, PUK_TRIES, True
            return 0
        self.puk_tries -= 1
        self.wrong_tries += 1
        return WRONG
