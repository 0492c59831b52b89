# attempt: read a file of the host's below the root of any process in sight
# wall: files
# control: view outside
# proof: secret
import glob, os

for root in glob.glob("/proc/[0-9]*/root"):
    try:
        print("ESCAPED", open(root + os.environ["OUTSIDE"]).read())
    except OSError as e:
        print(e)
