# attempt: read a private file of another session's, whose zone is in sight by mistake
# wall: account
# control: account other
# proof: secret
# as: root
# sees: other
import os

print("ESCAPED", open(os.environ["OTHER"] + "/private").read())
