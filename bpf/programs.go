// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
)

// Programs are transit and agent for both hooks, what network functions come back to, and the arrays through
// which an agent tail-calls transit. A prog array is emptied by the kernel when its last descriptor and pin
// are gone: keep one of them.
type Programs struct {
	TransitXDP *ebpf.Program
	AgentXDP   *ebpf.Program
	TransitTCX *ebpf.Program
	AgentTCX   *ebpf.Program

	// Where the last function of a chain goes: [Programs.WireStages] puts them into the stages.
	TransitResumeXDP *ebpf.Program
	AgentResumeXDP   *ebpf.Program
	TransitResumeTCX *ebpf.Program
	AgentResumeTCX   *ebpf.Program

	TransitXDPArray *ebpf.Map // slot 0: TransitXDP
	TransitTCXArray *ebpf.Map // slot 0: TransitTCX

	// Frags tells whether the XDP programs take packets of several buffers (kernel 5.18). It is false
	// also where they were opened from pins.
	Frags bool

	ends TableSlot // where functions come back, as the programs know it
}

type programSlot struct {
	name string
	p    **ebpf.Program
	kind ebpf.ProgramType
}

func (p *Programs) slots() []programSlot {
	return []programSlot{
		{"transit_xdp", &p.TransitXDP, ebpf.XDP},
		{"agent_xdp", &p.AgentXDP, ebpf.XDP},
		{"transit_tcx", &p.TransitTCX, ebpf.SchedCLS},
		{"agent_tcx", &p.AgentTCX, ebpf.SchedCLS},
		{"transit_resume_xdp", &p.TransitResumeXDP, ebpf.XDP},
		{"agent_resume_xdp", &p.AgentResumeXDP, ebpf.XDP},
		{"transit_resume_tcx", &p.TransitResumeTCX, ebpf.SchedCLS},
		{"agent_resume_tcx", &p.AgentResumeTCX, ebpf.SchedCLS},
	}
}

type arraySlot struct {
	name    string
	m       **ebpf.Map
	transit *ebpf.Program
}

func (p *Programs) arrays() []arraySlot {
	return []arraySlot{
		{"transit_xdp_array", &p.TransitXDPArray, p.TransitXDP},
		{"transit_tcx_array", &p.TransitTCXArray, p.TransitTCX},
	}
}

// LoadPrograms loads transit and agent, for XDP and for tcx, against the tables. Nothing is wired or
// attached yet. What the verifier says is within reach of errors.As with *[ebpf.VerifierError].
func LoadPrograms(t *Tables) (_ *Programs, err error) {
	p := &Programs{Frags: true}
	if p.ends, err = t.freeEnds(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if err := p.loadTCX(t); err != nil {
		return nil, explain("load tcx programs", err)
	}
	err = p.loadXDP(t)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		// A kernel before 5.18 knows no packets of several buffers: the same programs, for one.
		p.Frags = false
		if p.loadXDP(t) == nil {
			return p, nil
		}
	}
	if err != nil {
		return nil, explain("load XDP programs", err)
	}
	return p, nil
}

// options make a collection use our tables in place of its own.
func (t *Tables) options() *ebpf.CollectionOptions {
	replace := make(map[string]*ebpf.Map)
	for _, s := range t.slots() {
		replace[s.name] = *s.m
	}
	return &ebpf.CollectionOptions{MapReplacements: replace}
}

// prepare drops from a spec the replacements that its programs do not use, which cilium/ebpf refuses,
// and takes over the sizes of the others, which it compares.
func prepare(spec *ebpf.CollectionSpec, opts *ebpf.CollectionOptions) {
	for name, m := range opts.MapReplacements {
		if s, ok := spec.Maps[name]; ok {
			s.MaxEntries = m.MaxEntries()
		} else {
			delete(opts.MapReplacements, name)
		}
	}
}

// object is what either object file has.
type object struct {
	Transit       *ebpf.Program `ebpf:"transit"`
	Agent         *ebpf.Program `ebpf:"agent"`
	TransitResume *ebpf.Program `ebpf:"transit_resume"`
	AgentResume   *ebpf.Program `ebpf:"agent_resume"`
	Programs      *ebpf.Map     `ebpf:"programs"`
}

func (p *Programs) loadTCX(t *Tables) error {
	spec, err := LoadTCX()
	if err != nil {
		return err
	}
	if err := spec.Variables["ends"].Set(uint32(p.ends)); err != nil {
		return err
	}
	opts := t.options()
	prepare(spec, opts)
	var objs object
	if err := spec.LoadAndAssign(&objs, opts); err != nil {
		return err
	}
	p.TransitTCX, p.AgentTCX, p.TransitTCXArray = objs.Transit, objs.Agent, objs.Programs
	p.TransitResumeTCX, p.AgentResumeTCX = objs.TransitResume, objs.AgentResume
	return nil
}

func (p *Programs) loadXDP(t *Tables) error {
	spec, err := LoadXDP()
	if err != nil {
		return err
	}
	if !p.Frags {
		for _, prog := range spec.Programs {
			prog.Flags &^= unixXDPHasFrags
		}
		if err := spec.Variables["frags"].Set(false); err != nil {
			return err
		}
	}
	version, err := features.LinuxVersionCode()
	if err != nil {
		return err
	}
	if err := spec.Variables["redirects_frags"].Set(version >= redirectsFrags); err != nil {
		return err
	}
	if err := spec.Variables["ends"].Set(uint32(p.ends)); err != nil {
		return err
	}
	opts := t.options()
	prepare(spec, opts)
	var objs object
	if err := spec.LoadAndAssign(&objs, opts); err != nil {
		return err
	}
	p.TransitXDP, p.AgentXDP, p.TransitXDPArray = objs.Transit, objs.Agent, objs.Programs
	p.TransitResumeXDP, p.AgentResumeXDP = objs.TransitResume, objs.AgentResume
	return nil
}

// unixXDPHasFrags is BPF_F_XDP_HAS_FRAGS.
const unixXDPHasFrags = 1 << 5

// redirectsFrags is the first kernel whose XDP redirects packets of several buffers: 6.3. It cannot be
// asked for; where it was brought to an older one, tcx takes them all the same.
const redirectsFrags = 6<<16 | 3<<8

// WireTransit puts transit into the arrays of the agents. An agent that is attached before drops what
// it would have handed over, and counts it.
func (p *Programs) WireTransit() error {
	for _, a := range p.arrays() {
		if err := (*a.m).Put(uint32(0), a.transit); err != nil {
			return fmt.Errorf("wire %s: %w", a.name, err)
		}
	}
	return nil
}

// Pin puts programs and arrays into dir, which must be on bpffs. On failure it takes back what it had
// pinned.
func (p *Programs) Pin(dir string) (err error) {
	var undo []func() error
	defer func() {
		if err != nil {
			for _, u := range undo {
				err = errors.Join(err, u())
			}
		}
	}()
	for _, s := range p.slots() {
		if err := (*s.p).Pin(filepath.Join(dir, s.name)); err != nil {
			return fmt.Errorf("pin program %s: %w", s.name, err)
		}
		undo = append(undo, (*s.p).Unpin)
	}
	for _, a := range p.arrays() {
		if err := (*a.m).Pin(filepath.Join(dir, a.name)); err != nil {
			return fmt.Errorf("pin %s: %w", a.name, err)
		}
		undo = append(undo, (*a.m).Unpin)
	}
	return nil
}

// LoadPinnedPrograms opens what [Programs.Pin] left in dir. One that is missing gives
// [fs.ErrNotExist], one of another kind [ErrABI].
func LoadPinnedPrograms(dir string) (_ *Programs, err error) {
	p := new(Programs)
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	for _, s := range p.slots() {
		if *s.p, err = ebpf.LoadPinnedProgram(filepath.Join(dir, s.name), nil); err != nil {
			return nil, pinned("program "+s.name, err)
		}
		if (*s.p).Type() != s.kind {
			return nil, fmt.Errorf("open program %s: %w: it is a %v", s.name, ErrABI, (*s.p).Type())
		}
	}
	for _, a := range p.arrays() {
		if *a.m, err = ebpf.LoadPinnedMap(filepath.Join(dir, a.name), nil); err != nil {
			return nil, pinned(a.name, err)
		}
		if (*a.m).Type() != ebpf.ProgramArray {
			return nil, fmt.Errorf("open %s: %w: it is a %v", a.name, ErrABI, (*a.m).Type())
		}
	}
	return p, nil
}

func pinned(what string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("open %s: %w", what, err)
	case errors.Is(err, fs.ErrPermission):
		return explain("open "+what, err)
	}
	return fmt.Errorf("open %s: %w: %w", what, ErrABI, err)
}

// Close lets go of the descriptors. What is attached stays attached; arrays that are not pinned are
// emptied by the kernel.
func (p *Programs) Close() error {
	var errs []error
	for _, s := range p.slots() {
		errs = append(errs, (*s.p).Close()) // of a nil program: nothing
	}
	for _, a := range p.arrays() {
		errs = append(errs, (*a.m).Close())
	}
	return errors.Join(errs...)
}
