# attempt: find a secret among the variables it was started with
# wall: environment
# control: env
# proof: secret
env | grep '^HOST_SECRET=' && echo ESCAPED variable
