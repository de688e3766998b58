// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// kernel is the other side of a socket's rings, which may say what it likes. There is no socket.
type kernel struct {
	t testing.TB
	s *Socket
}

const (
	fakeRing  = 8
	fakeFrame = minFrameSize
)

func newKernel(t testing.TB, multi bool) *kernel {
	t.Helper()
	s := &Socket{multi: multi, umem: newUmem(2*fakeRing, fakeFrame)}
	s.received = make([]Frame, 0, 2*fakeRing)
	s.rx, s.tx = fake[unix.XDPDesc](t), fake[unix.XDPDesc](t)
	s.fill, s.completion = fake[uint64](t), fake[uint64](t)
	s.refill()
	return &kernel{t, s}
}

func fake[T entry](t testing.TB) *ring[T] {
	t.Helper()
	memory := unsafe.Slice((*byte)(unsafe.Pointer(&make([]uint64, 64)[0])), 512)
	r, err := layout[T](memory, unix.XDPRingOffset{Producer: 0, Consumer: 64, Flags: 128, Desc: 192}, fakeRing)
	require.NoError(t, err)
	return r
}

// filled takes an address from the fill ring.
func (k *kernel) filled() uint64 {
	k.t.Helper()
	r := k.s.fill
	require.NotEqual(k.t, *r.producer, *r.consumer, "nothing to receive into")
	addr := r.entries[*r.consumer&r.mask]
	*r.consumer++
	return addr
}

// says puts descriptors into the rx ring.
func (k *kernel) says(all ...unix.XDPDesc) {
	r := k.s.rx
	for _, d := range all {
		r.entries[*r.producer&r.mask] = d
		*r.producer++
	}
}

// sent puts addresses into the completion ring.
func (k *kernel) sent(all ...uint64) {
	r := k.s.completion
	for _, a := range all {
		r.entries[*r.producer&r.mask] = a
		*r.producer++
	}
}

// receive is what Recv does, but for waiting.
func (k *kernel) receive() []Frame {
	k.t.Helper()
	frames := make([]Frame, 2*fakeRing)
	k.s.release()
	n := k.s.receive(frames)
	k.s.refill()
	k.consistent()
	return frames[:n]
}

// send is what Send does, but for calling the kernel and waiting.
func (k *kernel) send(frames ...Frame) (int, error) {
	k.t.Helper()
	k.s.out, k.s.done, k.s.failure = frames, 0, nil
	k.s.reap()
	k.s.place()
	k.consistent()
	return k.s.done, k.s.failure
}

func (k *kernel) alloc(n int) []Frame {
	k.s.out, k.s.done = make([]Frame, n), 0
	k.s.alloc()
	k.consistent()
	return k.s.out[:k.s.done]
}

// consistent checks that each chunk is in one place.
func (k *kernel) consistent() {
	k.t.Helper()
	u := k.s.umem
	var count [sending + 1]int
	reserved := 0
	for _, c := range u.chunks {
		count[c.owner]++
		if c.reserved {
			reserved++
		}
	}
	require.Len(k.t, u.idle, count[free])
	seen := map[uint32]bool{}
	for _, c := range u.idle {
		require.False(k.t, seen[c], "chunk %d is free twice", c)
		require.Equal(k.t, free, u.chunks[c].owner)
		seen[c] = true
	}
	require.Equal(k.t, count[filling], u.filling)
	require.Equal(k.t, reserved, u.reserved)
	require.LessOrEqual(k.t, u.filling, u.share)
	require.LessOrEqual(k.t, u.reserved, u.share)
}

func good(addr uint64) unix.XDPDesc {
	return unix.XDPDesc{Addr: addr + unix.XDP_PACKET_HEADROOM, Len: 100}
}

func part(addr uint64) unix.XDPDesc {
	d := good(addr)
	d.Options = unix.XDP_PKT_CONTD
	return d
}

// Each is a bad descriptor between two good ones, which are received.
func TestHostileDescriptor(t *testing.T) {
	for _, c := range []struct {
		name string
		bad  func(k *kernel, mine uint64) unix.XDPDesc
	}{
		{"beyond the memory", func(k *kernel, _ uint64) unix.XDPDesc { return good(uint64(len(k.s.umem.mem))) }},
		{"far beyond", func(*kernel, uint64) unix.XDPDesc { return unix.XDPDesc{Addr: ^uint64(0), Len: 100} }},
		{"offset in the upper bits", func(_ *kernel, mine uint64) unix.XDPDesc {
			return unix.XDPDesc{Addr: mine | 1<<48, Len: 100}
		}},
		{"longer than the chunk", func(_ *kernel, mine uint64) unix.XDPDesc { return unix.XDPDesc{Addr: mine, Len: fakeFrame + 1} }},
		{"into the next chunk", func(_ *kernel, mine uint64) unix.XDPDesc {
			return unix.XDPDesc{Addr: mine + fakeFrame - 99, Len: 100}
		}},
		{"longest", func(_ *kernel, mine uint64) unix.XDPDesc { return unix.XDPDesc{Addr: mine, Len: ^uint32(0)} }},
		{"empty", func(_ *kernel, mine uint64) unix.XDPDesc { return unix.XDPDesc{Addr: mine} }},
		{"of a free chunk", func(k *kernel, _ uint64) unix.XDPDesc { return good(k.s.umem.address(k.s.umem.idle[0])) }},
		{"of a chunk to send", func(k *kernel, _ uint64) unix.XDPDesc { return good(k.s.umem.address(k.alloc(1)[0].chunk)) }},
		{"of the packet before", func(k *kernel, _ uint64) unix.XDPDesc { return k.s.rx.entries[0] }},
		{"a part of a packet where there are none", func(_ *kernel, mine uint64) unix.XDPDesc { return part(mine) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKernel(t, false)
			first, second, third := k.filled(), k.filled(), k.filled()
			k.says(good(first))
			k.says(c.bad(k, second))
			k.says(good(third))
			got := k.receive()
			if k.s.rx.entries[1].Options != 0 { // which takes the next one with it
				require.Len(t, got, 1)
				assert.Equal(t, uint64(2), k.s.count.invalid)
				return
			}
			require.Len(t, got, 2)
			assert.Equal(t, uint64(1), k.s.count.invalid)
			for i, addr := range []uint64{first, third} {
				assert.Equal(t, k.s.umem.mem[addr+256:addr+356], got[i].Bytes())
				assert.Equal(t, 100, cap(got[i].Bytes()))
			}
		})
	}
}

func TestHostileParts(t *testing.T) {
	for _, c := range []struct {
		name    string
		says    func(k *kernel) []unix.XDPDesc
		got     int
		invalid uint64
	}{
		{"good", func(k *kernel) []unix.XDPDesc {
			return []unix.XDPDesc{part(k.filled()), part(k.filled()), good(k.filled())}
		}, 1, 0},
		{"bad in the middle", func(k *kernel) []unix.XDPDesc {
			return []unix.XDPDesc{part(k.filled()), part(^uint64(1 << 20)), good(k.filled()), good(k.filled())}
		}, 1, 1},
		{"bad at the end", func(k *kernel) []unix.XDPDesc {
			return []unix.XDPDesc{part(k.filled()), good(^uint64(1 << 20)), good(k.filled())}
		}, 1, 1},
		{"twice the same", func(k *kernel) []unix.XDPDesc {
			a := k.filled()
			return []unix.XDPDesc{part(a), good(a), good(k.filled())}
		}, 1, 1},
		{"without an end, yet", func(k *kernel) []unix.XDPDesc {
			return []unix.XDPDesc{good(k.filled()), part(k.filled()), part(k.filled())}
		}, 1, 0},
		{"without an end, and the ring is full", func(k *kernel) (all []unix.XDPDesc) {
			for range fakeRing {
				all = append(all, part(k.filled()))
			}
			return all
		}, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKernel(t, true)
			k.says(c.says(k)...)
			assert.Len(t, k.receive(), c.got)
			assert.Equal(t, c.invalid, k.s.count.invalid)
		})
	}
}

// A packet whose end comes later is received then.
func TestPartsComeLater(t *testing.T) {
	k := newKernel(t, true)
	k.says(part(k.filled()))
	require.Empty(t, k.receive())
	k.says(good(k.filled()))
	got := k.receive()
	require.Len(t, got, 1)
	require.Equal(t, 200, got[0].Len())
	require.Len(t, got[0].AppendTo(nil), 200)
}

func TestTooManyParts(t *testing.T) {
	k := newKernel(t, true)
	k.s.rx = longRing(t)
	var all []unix.XDPDesc
	for range maxBuffers {
		all = append(all, part(1<<40))
	}
	k.says(append(all, good(1<<40))...)
	k.says(good(k.filled()))
	require.Len(t, k.receive(), 1)
	assert.Equal(t, uint64(maxBuffers+1), k.s.count.invalid)
}

func longRing(t *testing.T) *ring[unix.XDPDesc] {
	memory := unsafe.Slice((*byte)(unsafe.Pointer(&make([]uint64, 256)[0])), 2048)
	r, err := layout[unix.XDPDesc](memory, unix.XDPRingOffset{Producer: 0, Consumer: 64, Flags: 128, Desc: 192}, 32)
	require.NoError(t, err)
	return r
}

// Ring indexes that cannot be are counted, and what they say is skipped; then it goes on.
func TestHostileIndexes(t *testing.T) {
	k := newKernel(t, false)
	*k.s.rx.producer += fakeRing + 1
	require.Empty(t, k.receive())
	assert.Equal(t, uint64(1), k.s.count.invalid)
	k.says(good(k.filled()))
	require.Len(t, k.receive(), 1)

	*k.s.rx.producer -= 1
	require.Empty(t, k.receive())
	assert.Equal(t, uint64(2), k.s.count.invalid)

	*k.s.completion.producer = 1 << 31
	_, err := k.send()
	require.NoError(t, err)
	assert.Equal(t, uint64(3), k.s.count.invalid)

	// Ahead of what was produced: there is no room, rather than much.
	*k.s.fill.consumer = *k.s.fill.producer + 1
	assert.Zero(t, k.s.fill.room())
	*k.s.tx.consumer = 5
	assert.Zero(t, k.s.tx.room())
	n, err := k.send(k.alloc(1)[0])
	require.ErrorIs(t, err, errEmpty)
	require.Zero(t, n)
}

func TestIndexesWrap(t *testing.T) {
	k := newKernel(t, false)
	for _, r := range []*ring[unix.XDPDesc]{k.s.rx, k.s.tx} {
		*r.producer, *r.consumer, r.next = ^uint32(2), ^uint32(2), ^uint32(2)
	}
	for i := range 3 * fakeRing {
		k.says(good(k.filled()))
		got := k.receive()
		require.Len(t, got, 1, i)
		at := k.s.tx.next & k.s.tx.mask
		n, err := k.send(got[0])
		require.NoError(t, err)
		require.Equal(t, 1, n)
		*k.s.tx.consumer++
		k.sent(k.s.tx.entries[at].Addr)
	}
	require.Zero(t, k.s.count.invalid)
}

func TestHostileCompletion(t *testing.T) {
	k := newKernel(t, false)
	f := k.alloc(2)
	for i := range f {
		require.NoError(t, f[i].Set(make([]byte, 60)))
	}
	first, second := k.s.umem.address(f[0].chunk), k.s.umem.address(f[1].chunk)
	n, err := k.send(f[0])
	require.NoError(t, err)
	require.Equal(t, 1, n)
	k.sent(first+256, first, second, k.filled(), k.s.umem.address(k.s.umem.idle[0]), ^uint64(0))
	_, err = k.send()
	require.NoError(t, err)
	assert.Equal(t, uint64(5), k.s.count.invalid)
	assert.Equal(t, 1, k.s.umem.reserved)
	f[1].Release()
	assert.Zero(t, k.s.umem.reserved)
}

// A frame counts once, and until the next Recv.
func TestFrameIsSpent(t *testing.T) {
	k := newKernel(t, false)
	k.says(good(k.filled()), good(k.filled()), good(k.filled()))
	got := k.receive()
	require.Len(t, got, 3)
	copied := got[0]
	n, err := k.send(got[0], copied)
	require.ErrorIs(t, err, ErrFrame, "sent twice")
	require.Equal(t, 1, n)
	require.ErrorIs(t, copied.Set([]byte("x")), ErrFrame)
	copied.Release()

	again, third := got[1], got[1]
	got[1].Release()
	third.Release()
	_, err = k.send(again)
	require.ErrorIs(t, err, ErrFrame, "released")
	k.consistent()

	k.receive()
	_, err = k.send(got[2])
	require.ErrorIs(t, err, ErrFrame, "of the Recv before")

	other := newKernel(t, false)
	_, err = other.send(k.alloc(1)[0])
	require.ErrorIs(t, err, ErrFrame, "of another socket")

	var zero Frame
	assert.Nil(t, zero.Bytes())
	assert.Zero(t, zero.Len())
	assert.ErrorIs(t, zero.Set(nil), ErrFrame)
	assert.ErrorIs(t, zero.Decode(new(Tunnel)), ErrFrame)
	zero.Release()
	n, err = k.send(zero)
	require.NoError(t, err)
	require.Equal(t, 1, n, "nothing is passed over")
}

// What is kept is the caller's until he lets go of it.
func TestKeep(t *testing.T) {
	k := newKernel(t, false)
	k.says(good(k.filled()), good(k.filled()))
	got := k.receive()
	require.Len(t, got, 2)
	copied := got[0]
	require.NoError(t, got[0].Keep())
	require.ErrorIs(t, copied.Keep(), ErrFrame)
	k.receive()
	require.NoError(t, got[0].Set([]byte("kept")))
	require.ErrorIs(t, got[1].Keep(), ErrFrame)
	n, err := k.send(got[0])
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.ErrorIs(t, new(Frame).Keep(), ErrFrame)

	// All that can be received into, and then some are given back.
	var kept []Frame
	for *k.s.fill.producer != *k.s.fill.consumer {
		k.says(good(k.filled()))
		got := k.receive()
		require.Len(t, got, 1)
		require.NoError(t, got[0].Keep())
		kept = append(kept, got[0])
	}
	require.Len(t, kept, 2*fakeRing-1)
	kept[0].Release()
	k.receive()
	k.says(good(k.filled()))
	require.Len(t, k.receive(), 1)
}

// Who sends all that he can leaves enough to receive into, and the other way round.
func TestShares(t *testing.T) {
	k := newKernel(t, false)
	f := k.alloc(100)
	require.Len(t, f, fakeRing)
	for i := range f {
		require.NoError(t, f[i].Set(make([]byte, 60)))
	}
	n, err := k.send(f...)
	require.NoError(t, err)
	require.Equal(t, fakeRing, n)
	for range 3 { // and what is received cannot be sent before something came back
		k.says(good(k.filled()))
		got := k.receive()
		require.Len(t, got, 1)
		n, err := k.send(got[0])
		require.NoError(t, err)
		require.Zero(t, n)
	}
}

func TestHostileLayout(t *testing.T) {
	memory := make([]byte, 512)
	for _, at := range []unix.XDPRingOffset{
		{Producer: 512, Desc: 192}, {Producer: ^uint64(3), Desc: 192}, {Consumer: 510, Desc: 192}, {Flags: 1, Desc: 192},
		{Desc: 512 - 63}, {Desc: 456}, {Desc: 1 << 40}, {Desc: ^uint64(7)},
	} {
		_, err := layout[uint64](memory, at, fakeRing)
		require.ErrorIs(t, err, ErrRing, "%+v", at)
	}
}

// Whatever the kernel says, each chunk stays in one place, and frames in bounds.
func FuzzKernel(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, false)
	f.Add([]byte{1, 0, 1, 200, 0, 0, 1, 0, 1, 9}, true)
	f.Fuzz(func(t *testing.T, script []byte, multi bool) {
		k := newKernel(t, multi)
		var mine []Frame
		for len(script) >= 10 {
			op, d := script[0], unix.XDPDesc{
				Addr:    uint64(binary.LittleEndian.Uint32(script[1:])) % (3 * 2 * fakeRing * fakeFrame / 2),
				Len:     uint32(binary.LittleEndian.Uint16(script[5:])) % (2 * fakeFrame),
				Options: uint32(script[7] & 3),
			}
			amount := uint32(script[8])
			script = script[10:]
			switch op % 8 {
			case 0:
				k.says(d)
			case 1:
				if *k.s.fill.producer != *k.s.fill.consumer {
					d.Addr, d.Len = k.filled()+uint64(amount), d.Len%fakeFrame
					k.says(d)
				}
			case 2:
				*k.s.rx.producer += amount
			case 3:
				*k.s.fill.consumer += amount
				*k.s.tx.consumer += amount % 3
			case 4:
				k.sent(d.Addr)
			case 5:
				mine = k.receive()
				for i := range mine {
					total := 0
					for part := range mine[i].Buffers() {
						total += len(part)
					}
					require.Equal(t, mine[i].Len(), total)
				}
			case 6:
				_, _ = k.send(mine...)
			case 7:
				if got := k.alloc(1); len(got) == 1 {
					_ = got[0].Set(make([]byte, d.Len))
					mine = append(mine, got...)
				}
				if len(mine) > 0 && amount&1 != 0 {
					mine[0].Release()
				}
			}
			k.consistent()
		}
	})
}
