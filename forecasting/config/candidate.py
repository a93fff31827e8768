"""The section `gateway.candidate`: what share of the traffic a candidate gets."""

from pydantic import Field

from forecasting.config.section import Section


class CandidateConfig(Section):
    """Traffic of the version that is candidate, while there is one."""

    weight: float = Field(
        0.0, ge=0, le=1, description="Share of requests that the candidate answers; the id of a request decides, so a request "
        "that is sent again gets the same version. What it cannot answer the champion does.",
    )  # fmt: skip
    shadow: float = Field(
        0.0, ge=0, le=1, description="Share of the champion's requests that the candidate is asked too, after the answer was "
        "sent; both answers go to the store.",
    )  # fmt: skip
    shadow_at_once: int = Field(
        4, gt=0, description="Such requests at the same time; more are left out, and counted as dropped."
    )
    timeout_s: float = Field(5.0, gt=0, description="Longest wait for the candidate; the champion answers after it.")
