"""A question that cannot be answered."""

from collections.abc import Mapping

from forecasting.errors import AlmanacError

MAX_TEXT = 2_000
"""Characters of an error's text."""


class AnswerError(AlmanacError):
    """A request ends with an HTTP status other than 200; the message is for the client."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        series: str | None = None,
        column: str | None = None,
        place: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        """Keep the status beside the message.

        Args:
            code: HTTP status.
            message: For the client.
            series: Series that the message is about.
            column: Column that it is about.
            place: Where in that column: a time, or the number of a row.
            retry_after_s: When the same request may be sent again.
        """
        # What was found is quoted, and may be as long as the body that it was found in.
        super().__init__(message if len(message) <= MAX_TEXT else f"{message[:MAX_TEXT]} …")
        self.code = code
        self.series, self.column, self.place, self.retry_after_s = series, column, place, retry_after_s


class NoForecastError(AnswerError):
    """None of the series that are asked for can be forecast."""

    def __init__(self, code: int, message: str, skipped: Mapping[str, str]) -> None:
        """Keep the reasons beside the message.

        Args:
            code: HTTP status.
            message: For the client.
            skipped: Why, by series.
        """
        super().__init__(code, message)
        self.skipped = skipped
