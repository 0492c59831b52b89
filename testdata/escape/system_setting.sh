# attempt: write to a setting of the system's kernel (what it holds already)
# wall: privileges
# control: bare root: a setting of the machine is its root's, in whose user namespace no child is
# control-user: none: settings of the machine are root's
# proof: word
setting=/proc/sys/kernel/panic
(cat $setting >"$ZONE/was" && cat "$ZONE/was" >$setting) && echo ESCAPED $setting
