"""The section `gateway`: who may ask for forecasts, and how much."""

from pydantic import Field, model_validator

from forecasting.config.candidate import CandidateConfig
from forecasting.config.section import Section


class GatewayConfig(Section):
    """The gateway; its port is `serving.gateway_port`."""

    bind_address: str | None = Field(
        None, description="Address that the gateway listens on; none: serving.bind_address. Other than a loopback "
        "address needs `tokens`, or `open: true`.",
    )  # fmt: skip
    grpc_port: int | None = Field(
        None, ge=0, le=65535, description="Port of the gateway's own gRPC service; 0: any free port; none: no gRPC."
    )
    tokens: str | None = Field(
        None, description="File of tokens, as `almanac tokens make` writes it; it is read again when it changes. None: the "
        "lines of $ALMANAC_TOKENS, and where that is not set no token is asked for.",
    )  # fmt: skip
    open: bool = Field(False, description="Whether to listen on other than a loopback address without tokens.")
    tls_certificate: str | None = Field(None, description="File of the certificate chain (PEM); none: no TLS.")
    tls_key: str | None = Field(None, description="File of its key (PEM).")
    max_body_mib: float = Field(64.0, gt=0, description="Largest body of a request, MiB; larger ones get 413.")
    max_in_flight: int = Field(256, gt=0, description="Requests answered at the same time; others get 429.")
    rate_limit: float | None = Field(
        None, gt=0, description="Requests a second of one token, or without tokens of one address; a second's worth may come "
        "at once, others get 429 with Retry-After. None: no limit.",
    )  # fmt: skip

    candidate: CandidateConfig = Field(default_factory=CandidateConfig, description="Traffic of a candidate.")

    @model_validator(mode="after")
    def _check_tls(self) -> "GatewayConfig":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key must be given together")
        return self
