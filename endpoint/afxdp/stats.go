// SPDX-License-Identifier: Apache-2.0

package afxdp

import "fmt"

// Stats are a socket's counters since it was opened.
type Stats struct {
	// Received are packets and their bytes that Recv gave.
	Received, ReceivedBytes uint64
	// Sent are packets and their bytes that Send handed to the kernel.
	Sent, SentBytes uint64
	// Invalid are descriptors of the kernel's that were refused: of memory that is not the socket's, or that
	// the kernel did not have.
	Invalid uint64

	// The kernel's own.

	// Dropped are packets that were lost on their way to the socket for another reason than a full ring:
	// larger than a buffer, or no buffer to receive into.
	Dropped uint64
	// RingFull are packets lost because the rx ring was full: the function is slow, or dead.
	RingFull uint64
	// FillEmpty is how often there was no buffer to receive into; their packets are lost.
	FillEmpty uint64
	// InvalidFill and InvalidTx are descriptors of ours that the kernel refused.
	InvalidFill, InvalidTx uint64
	// TxEmpty is how often the kernel looked for something to send, and found nothing.
	TxEmpty uint64
}

type counters struct {
	received, receivedBytes uint64
	sent, sentBytes         uint64
	invalid                 uint64
}

// Stats reads the counters.
func (s *Socket) Stats() (Stats, error) {
	s.mu.Lock()
	c := s.count
	s.mu.Unlock()
	st := Stats{
		Received: c.received, ReceivedBytes: c.receivedBytes,
		Sent: c.sent, SentBytes: c.sentBytes,
		Invalid: c.invalid,
	}
	err := s.control(func(fd int) error {
		k, err := statistics(fd)
		st.Dropped, st.RingFull, st.FillEmpty = k.Rx_dropped, k.Rx_ring_full, k.Rx_fill_ring_empty_descs
		st.InvalidFill, st.InvalidTx, st.TxEmpty = k.Rx_invalid_descs, k.Tx_invalid_descs, k.Tx_ring_empty_descs
		return err
	})
	if err != nil {
		return st, fmt.Errorf("read statistics: %w", explain(err))
	}
	return st, nil
}
