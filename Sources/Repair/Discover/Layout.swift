/// Where a volume's bytes are: pieces of disks, one after the other. A partition is one piece; a logical volume is as many
/// as its segments, on as many disks as it spans.
public struct Layout: Hashable, Sendable {
    /// Bytes that are one after the other in the volume.
    public struct Piece: Hashable, Sendable {
        /// Length in bytes.
        public var length: UInt64
        /// One stripe: where the bytes are. Several: they take turns, ``chunk`` bytes each.
        public var stripes: [Extent]
        /// Bytes of a turn; 0 with one stripe.
        public var chunk: UInt64

        /// A piece that lies on one disk.
        init(_ extent: Extent, length: UInt64) {
            self.init(length: length, stripes: [extent], chunk: 0)
        }

        /// A piece of any kind.
        init(length: UInt64, stripes: [Extent], chunk: UInt64) {
            self.length = length
            self.stripes = stripes
            self.chunk = chunk
        }
    }

    /// A place on a disk.
    public struct Extent: Hashable, Sendable {
        /// The disk's target in the domain: `vda`.
        public var disk: String
        /// Bytes from the disk's start.
        public var offset: UInt64
    }

    /// In the order of the volume.
    public var pieces: [Piece]

    /// A region of one disk, `offset` and `length` in bytes.
    init(disk: String, offset: UInt64, length: UInt64) {
        pieces = [Piece(Extent(disk: disk, offset: offset), length: length)]
    }

    /// Pieces in order; neighbours on the disk become one.
    init(pieces: [Piece]) {
        self.pieces = pieces.reduce(into: []) { joined, piece in
            if let last = joined.last, let end = last.stripes.first, let next = piece.stripes.first,
                last.stripes.count == 1, piece.stripes.count == 1, end.disk == next.disk,
                end.offset + last.length == next.offset
            {
                joined[joined.count - 1].length += piece.length
            } else {
                joined.append(piece)
            }
        }
    }

    /// Length in bytes.
    public var length: UInt64 { pieces.reduce(0) { $0 + $1.length } }

    /// Every disk that holds a part of it.
    public var disks: Set<String> { Set(pieces.flatMap { $0.stripes.map(\.disk) }) }

    /// Every place that it is at, stripes one by one: disk, and bytes from its start. In no order.
    var places: [(disk: String, range: Range<UInt64>)] {
        pieces.flatMap { piece in
            piece.stripes.map { stripe in
                let length = piece.length / UInt64(piece.stripes.count)
                return (stripe.disk, stripe.offset..<stripe.offset + length)
            }
        }
    }

    /// Where it is, when it is in one piece on one disk.
    public var singleExtent: Extent? {
        guard pieces.count == 1, let piece = pieces.first, piece.stripes.count == 1 else { return nil }
        return piece.stripes.first
    }
}

extension Layout {
    /// The layout as places that lie one after the other, stripes resolved to their turns; nil where these are more than
    /// `limit`.
    ///
    /// - Returns: places with their lengths in bytes, in the order of the volume.
    func runs(limit: Int) -> [(extent: Extent, length: UInt64)]? {
        var runs: [(extent: Extent, length: UInt64)] = []
        for piece in pieces {
            guard piece.stripes.count > 1 else {
                guard let extent = piece.stripes.first, runs.count < limit else { return nil }
                runs.append((extent, piece.length))
                continue
            }
            guard piece.chunk > 0, piece.length / piece.chunk <= UInt64(limit - runs.count) else { return nil }
            for turn in 0..<(piece.length / piece.chunk) {
                let stripe = piece.stripes[Int(turn % UInt64(piece.stripes.count))]
                let offset = stripe.offset + turn / UInt64(piece.stripes.count) * piece.chunk
                runs.append((Extent(disk: stripe.disk, offset: offset), piece.chunk))
            }
        }
        return runs
    }
}
