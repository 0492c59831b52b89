# attempt: have the next start make its links outside of the zone
# wall: links
# control: follow
# proof: target
# then: start with a link at data/upload
import os

os.symlink(os.environ["OUTSIDE_FOLDER"], os.environ["ZONE"] + "/data")
