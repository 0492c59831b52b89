# attempt: have the host read a file of its own through a link in a zone
# wall: workspace
# control: follow
# proof: secret
# then: read report.txt
import os

os.symlink(os.environ["OUTSIDE"], os.environ["ZONE"] + "/report.txt")
