"""Decodes each value of a file as the JSON of a delivery, and prints "ok" or the code of the refusal, JSON, one line each."""
import json
import sys
from pathlib import Path

from delivery import delivery_json
from wire import Refused


def code_of(body):
    try:
        delivery_json(body)
        return 'ok'
    except Refused as refused:
        return refused.code


for body in json.loads(Path(sys.argv[1]).read_text('utf-8')):
    print(json.dumps(code_of(body)))
