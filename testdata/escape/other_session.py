# attempt: walk through another session's zones
# wall: files
# control: view other
# proof: secret
import os

for folder, _, names in os.walk(os.environ["OTHER"]):
    for name in names:
        try:
            print("ESCAPED", name, open(os.path.join(folder, name)).read())
        except OSError as e:
            print(e)
