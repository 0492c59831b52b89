# attempt: read the host's tokens, through a path descriptor
# wall: files
# control: view data
# proof: secret
import os

fd = os.open(os.environ["DATA"], os.O_PATH)
print("ESCAPED", open(f"/proc/self/fd/{fd}/tokens.json").read())
