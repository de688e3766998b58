// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/testutil"
)

// packetRing is what a Go program would use without AF_XDP: an AF_PACKET socket whose packets the kernel
// copies into a ring of blocks, each handed over whole (TPACKET_V3).
type packetRing struct {
	file   *os.File
	raw    syscall.RawConn
	memory []byte
	block  int // the next

	// The rest of a block that was handed over.
	left int
	next unsafe.Pointer
	used bool

	into [][]byte
	got  int
	step func(uintptr) bool
}

// Twice as much memory as the contender has, in blocks that take about 1,000 small packets.
const (
	blockSize    = 1 << 18
	blocks       = 64
	blockTimeout = 1 // ms until one that is not full is handed over
)

func (r *rig) packetRing() *packetRing {
	t := r.t
	t.Helper()
	p := &packetRing{}
	p.step = p.receiveStep
	ifindex := testutil.Ifindex(t, r.fn, "fn0")
	testutil.In(t, r.fn, func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		p.file = os.NewFile(uintptr(fd), "af_packet")
		req := unix.TpacketReq3{
			Block_size: blockSize, Block_nr: blocks,
			Frame_size: 2048, Frame_nr: blockSize / 2048 * blocks,
			Retire_blk_tov: blockTimeout,
		}
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3),
			unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req),
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
		if err != nil {
			return err
		}
		p.memory, err = unix.Mmap(fd, 0, blockSize*blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: packet16(unix.ETH_P_ALL), Ifindex: ifindex})
	})
	var err error
	p.raw, err = p.file.SyscallConn()
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, unix.Munmap(p.memory))
		require.NoError(t, p.file.Close())
	})
	return p
}

// receive waits for packets, and gives as many as there are and into has room for. Nothing is copied: they
// are good until the next call.
func (p *packetRing) receive(into [][]byte) (int, error) {
	p.into, p.got = into, 0
	err := p.raw.Read(p.step)
	return p.got, err
}

func (p *packetRing) header() *unix.TpacketHdrV1 {
	const at = unsafe.Offsetof(unix.TpacketBlockDesc{}.Hdr)
	return (*unix.TpacketHdrV1)(unsafe.Pointer(&p.memory[p.block*blockSize+int(at)]))
}

func (p *packetRing) receiveStep(uintptr) bool {
	for {
		h := p.header()
		if p.used && p.left == 0 {
			atomic.StoreUint32(&h.Block_status, unix.TP_STATUS_KERNEL)
			p.block = (p.block + 1) % blocks
			p.used = false
			continue
		}
		if !p.used {
			if atomic.LoadUint32(&h.Block_status)&unix.TP_STATUS_USER == 0 {
				return false
			}
			p.used, p.left = true, int(h.Num_pkts)
			p.next = unsafe.Add(unsafe.Pointer(&p.memory[p.block*blockSize]), h.Offset_to_first_pkt)
		}
		for p.left > 0 && p.got < len(p.into) {
			packet := (*unix.Tpacket3Hdr)(p.next)
			p.into[p.got] = unsafe.Slice((*byte)(unsafe.Add(p.next, packet.Mac)), packet.Snaplen)
			p.next = unsafe.Add(p.next, packet.Next_offset)
			p.left--
			p.got++
		}
		if p.got > 0 {
			return true
		}
	}
}
