"""`WithoutProgress`: how often something befell a trial since its last new epoch."""


class WithoutProgress:
    """Counts per trial; one that gets further begins anew."""

    def __init__(self) -> None:
        self._counts: dict[int, tuple[int, int]] = {}

    def count(self, number: int, epochs: int) -> int:
        """Once more for this trial, which has trained so many epochs; how often that makes."""
        times, before = self._counts.get(number, (0, 0))
        self._counts[number] = (times + 1 if epochs == before else 1, epochs)
        return self._counts[number][0]
