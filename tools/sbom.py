"""The bill of materials of the Debian package, as CycloneDX 1.5 in JSON: `sbom.py VERSION FILE`.

Owns: what it says of each library of debian/vendor.txt. Invariants: the same libraries give the same bytes · the time
in it is $SOURCE_DATE_EPOCH's.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent))
from vendor import CACHE, Library, VendorError, canonical, libraries

_SPACE: Final = uuid.UUID("5f2f1f0e-6d5b-5c67-9f0e-3b3c2f6a7d11")


def component(library: Library) -> dict[str, Any]:
    name = canonical(library.pin.name)
    purl = f"pkg:pypi/{name}@{library.pin.version}"
    simple = " " not in library.licence
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": library.pin.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": library.pin.sha256}],
        "licenses": [{"license": {"id": library.licence}} if simple else {"expression": library.licence}],
    }
    if library.homepage is not None:
        found["externalReferences"] = [{"type": "website", "url": library.homepage}]
    return found


def bill(version: str, when: datetime, cache: Path = CACHE) -> dict[str, Any]:
    own = f"pkg:deb/debian/edged@{version}?arch=all"
    components = [component(library) for library in libraries(cache)]
    references = [part["bom-ref"] for part in components]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, json.dumps([own, components]))}",
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "edged",
                "version": version,
                "purl": own,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components,
        "dependencies": [
            {"ref": own, "dependsOn": references},
            *({"ref": reference, "dependsOn": []} for reference in references),
        ],
    }


def main() -> int:
    version, place = sys.argv[1:]
    when = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), tz=UTC)
    try:
        text = json.dumps(bill(version, when), indent=2)
    except VendorError as error:
        print(f"sbom.py: {error}", file=sys.stderr)
        return 1
    Path(place).write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
