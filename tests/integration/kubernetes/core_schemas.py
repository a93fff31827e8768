"""Validates resources against the strict schemas of Kubernetes, as JSON on stdin; run by the interpreter of `.checks`.

usage: core_schemas.py VERSION
"""

import json
import sys

import kubernetes_validate


def main(version: str) -> int:
    """Print what is wrong with each resource as a JSON list, empty where nothing is."""
    found = []
    for document in json.load(sys.stdin):
        name = f"{document['kind']}/{document['metadata']['name']}"
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{name}: {error.message} at {'.'.join(map(str, error.path))}")
        except kubernetes_validate.SchemaNotFoundError:
            found.append(f"{name}: no schema for {document['apiVersion']} {document['kind']}")
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
