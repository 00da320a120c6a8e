"""The other side: what to set at an archive so that studies come to this node and results go back."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from typing import Final, Literal

from dicomnode.settings.schema import Settings
from dicomnode.settings.targets import DestinationSettings

PeerKind = Literal["orthanc", "dcm4chee"]

_ORTHANC: Final = """\
Orthanc: what to set there (Orthanc 1.10 or newer)

1. In its configuration (/etc/orthanc/orthanc.json), the node as a modality, and the script of step 2:

{modality}
   Put the address of this machine, as Orthanc sees it, in place of THIS-MACHINE. It also sends there what
   it says to a request for storage commitment: whether it keeps the results.

2. /etc/orthanc/dicomnode.lua: each series goes to the node when nothing new of it has come for
   StableAge seconds. What came from the node stays, and so does every SEG and SR: sent on, results would
   come round again.

{script}
3. Restart Orthanc, then look whether the two reach each other:

     curl -X POST http://127.0.0.1:8042/modalities/dicomnode/echo -d ''
     dicomnode check --probe

   One study by hand:  curl -X POST http://127.0.0.1:8042/modalities/dicomnode/store -d STUDY-ID

   Orthanc calls this node by its own AE title: the ae_title of [[sender]] in dicomnode.toml must be
   "DicomAet" of orthanc.json (ORTHANC unless it is set there).

4. Results come back into the same study by C-STORE. Orthanc accepts them as it comes; where
   "DicomAlwaysAllowStore" is false, the entry of step 1 lets this node in. AllowStorageCommitment and
   AllowFind of that entry let it ask whether they are kept; without both it is known by the answer to
   C-STORE alone (`dicomnode why` says which it was). A kind of object that Orthanc does not know, as label
   maps, it takes with "UnknownSopClassAccepted" true.

{here}"""

# SendToModality() takes instances only (Orthanc 1.10.1): for a series it says Success and sends nothing
_LUA: Final = """\
     function OnStableSeries(seriesId, tags, metadata)
        local ours = metadata['RemoteAET'] == AE-OF-THE-NODE
        if not ours and tags['Modality'] ~= 'SEG' and tags['Modality'] ~= 'SR' then
           local job = { Resources = { seriesId }, Synchronous = false }
           RestApiPost('/modalities/dicomnode/store', DumpJson(job, true))
        end
     end
"""

_DCM4CHEE: Final = """\
dcm4chee-arc: what to set there (5.x, page Configuration; by LDAP the names in brackets)

1. Register the node: Configuration > AE list > New AET.
     AE title {ae_title}, host THIS-MACHINE, port {port}
     (THIS-MACHINE: the address of this machine, as the archive sees it.)
   Then choose Echo there.

2. An exporter: Configuration > Devices > dcm4chee-arc > Extensions > Device Extension > Extensions >
   Archive Device > Child objects > Exporter Descriptor > Add.
     Exporter ID [dcmExporterID]:  dicomnode
     URI [dcmURI]:                 dicom:{ae_title}
     Queue Name [dcmQueueName]:    Export1
     AE Title [dicomAETitle]:      {archive}

3. An export rule: in the same place, Child objects > Export Rule > Add.
     Name [cn]:                     to dicomnode
     Attribute Entity [dcmEntity]:  Series
     Exporter ID [dcmExporterID]:   dicomnode
     Export Delay [dcmDuration]:    PT30S
     Conditions [dcmProperty]:      SendingApplicationEntityTitle!={ae_title}
   The condition keeps results from coming round again. More of them, one a line, narrow it further,
   as Modality=CT.

4. Control > Reload, to make it effective. Watch it under Monitoring > Export.

5. Results come back into the same study by C-STORE to AE title {archive}. Nothing is to be set for that,
   unless the archive's Network AE lists Accepted Calling AE titles: then add {ae_title} there.
   This node asks for storage commitment whether they are kept; the archive reports to the host and port
   of step 1, and refuses such a request of an AE that is not registered. Else it asks by C-FIND.

This follows the documentation of dcm4chee-arc (Export-Rule, DICOM-Exporter); it was not tried with a running
one. Send one study, and look under Monitoring > Export and with `dicomnode why`.

{here}"""


def peer_side(kind: PeerKind, settings: Settings) -> str:
    """Say, for people, what to set at an archive of that kind, and which keys here belong to it."""
    return _WRITERS[kind](settings)


def _orthanc(settings: Settings) -> str:
    entry = {
        "DicomModalities": {
            "dicomnode": {
                "AET": settings.node.ae_title.strip(),
                "Host": "THIS-MACHINE",
                "Port": settings.receive.port,
                "AllowEcho": True,
                "AllowStore": True,
                "AllowFind": True,
                "AllowStorageCommitment": True,
            }
        },
        "LuaScripts": ["/etc/orthanc/dicomnode.lua"],
    }
    modality = "".join(f"     {line}\n" for line in json.dumps(entry, indent=2).splitlines()[1:-1])
    script = _LUA.replace("AE-OF-THE-NODE", json.dumps(settings.node.ae_title.strip()))
    return _ORTHANC.format(modality=modality, script=script, here=_here(settings, "orthanc", "ORTHANC", 4242))


def _dcm4chee(settings: Settings) -> str:
    archive = _destination(settings, "DCM4CHEE")
    return _DCM4CHEE.format(
        ae_title=settings.node.ae_title.strip(),
        port=settings.receive.port,
        archive=archive.ae_title.strip() if archive else "DCM4CHEE",
        here=_here(settings, "dcm4chee", "DCM4CHEE", 11112),
    )


def _destination(settings: Settings, ae_title: str) -> DestinationSettings | None:
    """The destination that is this archive: by its usual AE title, or because there is no other."""
    archives = [entry for entry in settings.destination if entry.ae_title]
    for entry in archives:
        if entry.ae_title.strip() == ae_title or len(archives) == 1:
            return entry
    return None


def _here(settings: Settings, name: str, usual_ae: str, port: int) -> str:
    """Say which tables dicomnode.toml needs for this archive, and which of them it has."""
    archive = _destination(settings, usual_ae)
    ae_title = archive.ae_title.strip() if archive else usual_ae
    wanted = []
    if not any(entry.ae_title.strip() == ae_title for entry in settings.sender):
        wanted.append(
            f'     [[sender]]\n     ae_title = "{ae_title}"\n'
            f'     address = "{_address(archive)}"  # its IP address; without this line, any\n'
        )
    if archive is None:
        wanted.append(
            f'     [[destination]]\n     name = "{name}"\n     ae_title = "{ae_title}"\n'
            f'     host = "THE-ARCHIVE"\n     port = {port}\n'
        )
    if not wanted:
        where = f"{archive.host}:{archive.port}" if archive else ""
        return f"Here: dicomnode.toml lets {ae_title} send and delivers to {ae_title} at {where}.\n"
    return "Here: dicomnode.toml still needs\n\n" + "\n".join(wanted)


def _address(archive: DestinationSettings | None) -> str:
    try:
        return str(ipaddress.ip_address(archive.host if archive else ""))
    except ValueError:  # a name, which [[sender]] does not take
        return "THE-ARCHIVE"


_WRITERS: Final[Mapping[str, Callable[[Settings], str]]] = {"orthanc": _orthanc, "dcm4chee": _dcm4chee}
