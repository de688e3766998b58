// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/ethtool"
)

// Spec says what to attach where.
type Spec struct {
	Ifindex int           // of the interface, in the thread's network namespace
	Hook    Hook          // never zero
	Mode    bpf.Mode      // for XDP hooks: Native, Generic or Offload; not looked at for the others
	Program *ebpf.Program // of the hook's type; stays the caller's to close
	Dir     string        // where the pin goes; on bpffs, and there
}

func (s *Spec) validate() error {
	switch {
	case s.Ifindex <= 0:
		return fmt.Errorf("interface %d: %w", s.Ifindex, ErrInvalid)
	case !s.Hook.valid():
		return fmt.Errorf("%s: %w", s.Hook, ErrInvalid)
	case s.Dir == "":
		return fmt.Errorf("no directory for the pin: %w", ErrInvalid)
	case s.Program == nil:
		return fmt.Errorf("no program: %w", ErrInvalid)
	case s.Program.Type() != s.Hook.kind():
		return fmt.Errorf("program is of type %s: %w", s.Program.Type(), ErrInvalid)
	case s.Hook.XDP() && !s.Mode.XDP():
		return fmt.Errorf("XDP mode %s: %w", s.Mode, ErrInvalid)
	}
	return nil
}

func (s *Spec) path() string {
	return filepath.Join(s.Dir, pinName(s.Hook, s.Ifindex))
}

// kernel is what there is to attach with.
type kernel struct{ tcx bool }

func probe() kernel {
	return kernel{tcx: HaveTCX()}
}

// Attach attaches a program and pins it. tcx programs go before all that others have attached. Where
// something is in the way it gives [ErrBusy], where the device cannot do the mode
// [bpf.ErrNotSupported], and has changed nothing.
func Attach(s Spec) error {
	return probe().attach(s)
}

func (k kernel) attach(s Spec) error {
	if err := s.validate(); err != nil {
		return fmt.Errorf("attach %s: %w", s.Hook, err)
	}
	dev, err := device(s.Ifindex)
	if err != nil {
		return fmt.Errorf("attach %s: %w", s.Hook, err)
	}
	if err := clearPin(s.Dir, s.Ifindex, s.Hook); err != nil {
		return fmt.Errorf("attach %s to %s: %w", s.Hook, dev.Attrs().Name, err)
	}
	switch {
	case s.Hook.XDP():
		err = s.attachXDP(dev)
	case k.tcx:
		err = s.attachTCX()
	default:
		err = s.attachClsact()
	}
	if err != nil {
		return fmt.Errorf("attach %s to %s: %w", s.Hook, dev.Attrs().Name, err)
	}
	return nil
}

// device looks an interface up. netlink's own error for one that is missing is not the kernel's.
func device(ifindex int) (netlink.Link, error) {
	dev, err := netlink.LinkByIndex(ifindex)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return nil, fmt.Errorf("interface %d: %w", ifindex, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("look up interface %d: %w", ifindex, explain(err))
	}
	return dev, nil
}

func (s *Spec) attachXDP(dev netlink.Link) error {
	flags := map[bpf.Mode]link.XDPAttachFlags{
		bpf.Native:  link.XDPDriverMode,
		bpf.Generic: link.XDPGenericMode,
		bpf.Offload: link.XDPOffloadMode,
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: s.Program, Interface: s.Ifindex, Flags: flags[s.Mode]})
	if err == nil {
		return s.pin(l)
	}
	for errno, why := range refusals {
		if errors.Is(err, errno) {
			return fmt.Errorf("%s XDP on %s (driver %s): %w: %s: %w",
				s.Mode, dev.Attrs().Name, driver(dev), bpf.ErrNotSupported, why, err)
		}
	}
	return explain(err)
}

// driver names the driver of a device for a message.
func driver(dev netlink.Link) string {
	if name, err := ethtool.Driver(dev.Attrs().Name); err == nil {
		return name
	}
	return dev.Type()
}

func (s *Spec) attachTCX() error {
	if err := s.twin(); err != nil {
		return err
	}
	l, err := link.AttachTCX(link.TCXOptions{
		Program:   s.Program,
		Interface: s.Ifindex,
		Attach:    ebpf.AttachTCXIngress,
		Anchor:    link.Head(),
	})
	if err != nil {
		return explain(err)
	}
	return s.pin(l)
}

// pin makes an attached link outlive us, or takes it off again.
func (s *Spec) pin(l link.Link) error {
	if err := l.Pin(s.path()); err != nil {
		// Closing the last descriptor would do too, but not where another process got hold of one.
		return errors.Join(fmt.Errorf("pin link: %w", err), l.Detach(), l.Close())
	}
	return l.Close()
}

// twin refuses a second program of the same name. XDP and clsact refuse by themselves; tcx would run
// both, and the second never see what the first has taken.
func (s *Spec) twin() error {
	info, err := s.Program.Info()
	if err != nil {
		return fmt.Errorf("read program: %w", explain(err))
	}
	there, err := link.QueryPrograms(link.QueryOptions{Target: s.Ifindex, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return explain(err)
	}
	for _, p := range there.Programs {
		name, err := programName(p.ID)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPERM) {
			continue // gone since, or not ours to know without CAP_SYS_ADMIN
		}
		if err != nil {
			return fmt.Errorf("read attached program %d: %w", p.ID, explain(err))
		}
		if info.Name != "" && name == info.Name {
			return fmt.Errorf("program %d is also called %s: %w", p.ID, name, ErrBusy)
		}
	}
	return nil
}

func programName(id ebpf.ProgramID) (string, error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "", err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return "", err
	}
	return info.Name, nil
}
