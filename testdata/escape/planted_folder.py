# attempt: have the host write outside through a folder that is a link
# wall: workspace
# control: follow
# proof: target
# then: write out/report.txt
import os

os.symlink(os.environ["OUTSIDE_FOLDER"], os.environ["ZONE"] + "/out")
