# attempt: ask the host's API
# wall: network
# control: without network
# proof: secret
import os, urllib.request

with urllib.request.urlopen(f"http://localhost:{os.environ['API']}/v1/status", timeout=2) as answer:
    print("ESCAPED", answer.read())
