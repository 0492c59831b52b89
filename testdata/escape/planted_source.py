# attempt: have the next start show another folder in the place of one of its own
# wall: views
# control: follow
# proof: secret
# then: start with a view of shown
import os

os.symlink(os.environ["OUTSIDE_FOLDER"], os.environ["ZONE"] + "/shown")
