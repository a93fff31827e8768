"""Where a pod finds the interface of the Kubernetes that it runs in."""

import os
from pathlib import Path

from forecasting.cluster_api.session import ApiAddressSpec

POD_CREDENTIALS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The token of a pod's service account, and the certificates of Kubernetes."""


def address_in_pod(token_file: Path | None = None, ca_file: Path | None = None) -> ApiAddressSpec | None:
    """Where Kubernetes is; none outside of a pod.

    Args:
        token_file: In the place of the token of the pod's service account.
        ca_file: In the place of the certificates that the pod is given.
    """
    name, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if name is None:
        return None
    shown = f"[{name}]" if ":" in name else name
    return ApiAddressSpec(
        f"https://{shown}:{port}", token_file or POD_CREDENTIALS / "token", ca_file or POD_CREDENTIALS / "ca.crt"
    )
