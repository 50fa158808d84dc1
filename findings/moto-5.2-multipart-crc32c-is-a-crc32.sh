#!/usr/bin/env bash
# moto 5.2.5 with boto3 1.44.8; the checksums are compared with those of awscrt 0.38.0 and crc32c 2.9.post0.
#
# A client that says its own CRC32C or CRC64NVME gets the same back from an object that it puts at once. Those of an object of several parts
# moto computes, and for them it needs the packages crc32c and awscrt, neither of which moto[s3] brings. Without them it computes a CRC32
# instead and answers under the name of the other: a CRC32 of the parts' CRC32s for CRC32C, and four bytes instead of eight for CRC64NVME.
# No line says so, and boto3 does not notice, since it compares neither. A program that compares what it uploaded with what the store
# recorded refuses the object here and accepts it on S3; and the same test can pass on one machine and fail on another. HEAD gives the
# composite checksum without the "-2" at its end in any case, GET with it.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
cd "$tmp"
pip=(venv/bin/pip install --quiet --disable-pip-version-check)
"${pip[@]}" "moto[s3]==5.2.5" boto3==1.44.8
cat >program.py <<'PY'
import base64
import json
import os
import sys

import boto3
from moto import mock_aws

os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1")
PARTS = [b"a" * (5 << 20), b"b" * 1000]


def text(value, length):
    return base64.b64encode(value.to_bytes(length, "big")).decode()


@mock_aws
def kept(algorithm, kind):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="models")
    upload = {"Bucket": "models", "Key": "m", "UploadId": ""}
    upload["UploadId"] = s3.create_multipart_upload(
        Bucket="models", Key="m", ChecksumAlgorithm=algorithm, ChecksumType=kind)["UploadId"]
    done = []
    for number, body in enumerate(PARTS, 1):
        field = "Checksum" + algorithm
        part = s3.upload_part(**upload, PartNumber=number, Body=body, **{field: PROPER[algorithm][number]})
        done.append({"ETag": part["ETag"], "PartNumber": number, field: PROPER[algorithm][number]})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    head = s3.head_object(Bucket="models", Key="m", ChecksumMode="ENABLED")
    got = s3.get_object(Bucket="models", Key="m", ChecksumMode="ENABLED")
    return head["Checksum" + algorithm], got["Checksum" + algorithm]


# What awscrt computes: the right checksum of the object, then those of the parts.
PROPER = {}
if sys.argv[1] == "proper":
    from awscrt import checksums

    each = [checksums.crc32c(part) for part in PARTS]
    joined = b"".join(c.to_bytes(4, "big") for c in each)
    PROPER["CRC32C"] = [text(checksums.crc32c(joined), 4), *(text(c, 4) for c in each)]
    PROPER["CRC64NVME"] = [text(checksums.crc64nvme(b"".join(PARTS)), 8), *(text(checksums.crc64nvme(p), 8) for p in PARTS)]
    parts = b"".join(checksums.crc32(part).to_bytes(4, "big") for part in PARTS)
    PROPER["crc32"] = [text(checksums.crc32(parts), 4), text(checksums.crc32(b"".join(PARTS)), 4)]
    print(json.dumps(PROPER))
else:
    PROPER = json.loads(sys.argv[2])
    for algorithm, kind in (("CRC32C", "COMPOSITE"), ("CRC64NVME", "FULL_OBJECT")):
        head, got = kept(algorithm, kind)
        print(f"{algorithm}: {head} at HEAD, {got} at GET, {PROPER[algorithm][0]} is right")
    print("CRC32 of the parts' CRC32s: {}, of the whole: {}".format(*PROPER["crc32"]))
PY
python3 -m venv "$tmp/crt"
crt/bin/pip install --quiet --disable-pip-version-check "moto[s3]==5.2.5" boto3==1.44.8 awscrt==0.38.0 crc32c==2.9.post0
proper=$(crt/bin/python program.py proper)
found="without crc32c and awscrt
$(venv/bin/python program.py moto "$proper")
with them
$(crt/bin/python program.py moto "$proper")"
echo "$found"
[ "$found" = "without crc32c and awscrt
CRC32C: MQVsmQ== at HEAD, MQVsmQ==-2 at GET, datXvA== is right
CRC64NVME: rRO7Ng== at HEAD, rRO7Ng== at GET, 6kicW+ugDI8= is right
CRC32 of the parts' CRC32s: MQVsmQ==, of the whole: rRO7Ng==
with them
CRC32C: datXvA== at HEAD, datXvA==-2 at GET, datXvA== is right
CRC64NVME: 6kicW+ugDI8= at HEAD, 6kicW+ugDI8= at GET, 6kicW+ugDI8= is right
CRC32 of the parts' CRC32s: MQVsmQ==, of the whole: rRO7Ng==" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
