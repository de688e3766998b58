// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/mizar-go/mizar/bpf"
)

// linked is an attachment by bpf_link: XDP or tcx.
type linked struct {
	link.Link
	ifindex int
	target  int // where the link is; 0: nowhere any more
}

// check refuses a link of another kind than the hook's, and finds out where it is.
func (l *linked) check(h Hook) error {
	info, err := l.Info()
	if err != nil {
		return err
	}
	switch x, t := info.XDP(), info.TCX(); {
	case h.XDP() && x != nil:
		l.target = int(x.Ifindex)
	case !h.XDP() && t != nil && ebpf.AttachType(t.AttachType) == ebpf.AttachTCXIngress:
		l.target = int(t.Ifindex)
	default:
		return fmt.Errorf("%w: a link of another kind", bpf.ErrABI)
	}
	return nil
}

// alive also looks for the device: one that moved to another network namespace takes its links along,
// and may get another number there.
func (l *linked) alive() (bool, error) {
	if l.target != l.ifindex {
		return false, nil
	}
	_, err := device(l.ifindex)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (l *linked) program() (ebpf.ProgramID, error) {
	info, err := l.Info()
	if err != nil {
		return 0, err
	}
	return info.Program, nil
}

func (l *linked) update(p *ebpf.Program) error {
	return explain(l.Update(p))
}

func (l *linked) detach() error {
	return explain(l.Detach())
}
