package workspace

import (
	"os"
	"syscall"

	"github.com/hashicorp/go-hclog"
)

// An Owner is an account, by its numbers. The zero Owner is the host's.
type Owner struct{ UID, GID uint32 }

func (o Owner) ids() (uid, gid int) {
	if o == (Owner{}) {
		return os.Getuid(), os.Getgid()
	}
	return int(o.UID), int(o.GID)
}

// own makes a new file the owner's.
func (o Owner) own(file *os.File) error {
	if o == (Owner{}) {
		return nil // who makes a file owns it
	}
	return file.Chown(o.ids())
}

// ownName makes what has a name the owner's: of a link the link itself.
func (o Owner) ownName(root *os.Root, name string) error {
	if o == (Owner{}) {
		return nil
	}
	uid, gid := o.ids()
	return root.Lchown(name, uid, gid)
}

func (o Owner) owns(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	uid, gid := o.ids()
	return ok && int(st.Uid) == uid && int(st.Gid) == gid
}

// claim makes a zone and all that is in it the owner's, when the zone's folder
// isn't: it is new, or was last used under another account. The folder comes
// last, so that a claim that was broken off is made again. A file with several
// names stays whose it is, since one of them may be elsewhere, and so does what
// is neither a file, a folder nor a link.
func (l *ledger) claim(root *os.Root, log hclog.Logger) error {
	owner := l.cfg.Owner
	info, err := root.Stat(".")
	if err != nil || owner.owns(info) || (owner == Owner{} && os.Getuid() != 0) {
		return err // an ordinary user can't give anything away
	}
	uid, gid := owner.ids()
	w := l.newWalk()
	w.each = func(root *os.Root, info os.FileInfo) error {
		mode := info.Mode()
		if mode.IsDir() || mode&os.ModeSymlink != 0 || mode.IsRegular() && links(info) <= 1 {
			return root.Lchown(info.Name(), uid, gid)
		}
		return nil
	}
	w.tree(root, 0)
	if w.partial {
		log.Warn("a part of the zone couldn't be given to the session's account, processes can't change it", "error", w.err)
	}
	return root.Lchown(".", uid, gid)
}
