internal import CPNG

/// Why a picture could not be turned into another.
public enum PictureError: Error, Hashable, Sendable, CustomStringConvertible {
    /// It isn't a binary PPM of 8 bits, or is cut short; the text says which.
    case notPPM(String)
    /// libpng refused; the text is its own.
    case notWritten(String)

    /// What happened.
    public var description: String {
        switch self {
        case .notPPM(let why): "picture: not a binary PPM: \(why)"
        case .notWritten(let why): "picture: libpng: \(why)"
        }
    }
}

/// Pictures as everything shows them.
public enum PNG {
    /// How wide and how high a picture may be, in pixels.
    public static let sideLimit = 16384

    /// What every PNG begins with.
    private static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    /// Gives a screenshot of a domain as a PNG: what is one already as it is (QEMU 7.2 with libvirt 9.0), a PPM turned into one
    /// (QEMU before 7.1, which knows nothing else).
    ///
    /// - Parameter screenshot: the whole file.
    /// - Throws: ``PictureError``.
    public static func file(of screenshot: [UInt8]) throws(PictureError) -> [UInt8] {
        if screenshot.starts(with: signature) { return screenshot }
        return try encode(ppm: screenshot)
    }

    /// Turns a binary PPM (`P6`, 8 bits) into a PNG.
    ///
    /// - Parameter ppm: the whole file.
    /// - Throws: ``PictureError``.
    public static func encode(ppm: [UInt8]) throws(PictureError) -> [UInt8] {
        let header = try PPMHeader(ppm)
        let pixels = ppm[header.length...]
        guard pixels.count >= header.width * header.height * 3 else {
            throw .notPPM("\(header.width) x \(header.height) pixels, and only \(pixels.count) bytes of them")
        }
        var image = shim_png_image(UInt32(header.width), UInt32(header.height))
        defer { png_image_free(&image) }
        // Twice: first for the size, which the simplified interface only knows by compressing (png.h).
        var count = 0
        guard write(pixels, as: &image, to: nil, &count) else { throw .notWritten(image.text) }
        var png = [UInt8](repeating: 0, count: count)
        let isWritten = png.withUnsafeMutableBytes { write(pixels, as: &image, to: $0.baseAddress, &count) }
        guard isWritten else { throw .notWritten(image.text) }
        return png
    }

    private static func write(
        _ pixels: ArraySlice<UInt8>, as image: inout png_image, to memory: UnsafeMutableRawPointer?,
        _ count: inout Int
    ) -> Bool {
        pixels.withUnsafeBytes { pixels in
            png_image_write_to_memory(&image, memory, &count, 0, pixels.baseAddress, 0, nil) != 0
        }
    }
}

extension png_image {
    /// libpng's message; it ends with a zero byte.
    fileprivate var text: String {
        withUnsafeBytes(of: message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}

/// The beginning of a binary PPM: `P6`, width, height and the largest value, with white space and comments between them
/// (ppm(5)).
private struct PPMHeader {
    let width: Int
    let height: Int
    /// Where the pixels begin.
    let length: Int

    init(_ bytes: [UInt8]) throws(PictureError) {
        guard bytes.starts(with: Array("P6".utf8)) else { throw .notPPM("it does not begin with P6") }
        var index = 2
        let width = try Self.number(in: bytes, at: &index)
        let height = try Self.number(in: bytes, at: &index)
        let largest = try Self.number(in: bytes, at: &index)
        guard 1...PNG.sideLimit ~= width, 1...PNG.sideLimit ~= height else {
            throw .notPPM("\(width) x \(height) pixels")
        }
        guard largest == 255 else { throw .notPPM("the largest value is \(largest), not 255") }
        // One white space, no more: the next byte may be a pixel.
        guard index < bytes.count, Self.isSpace(bytes[index]) else { throw .notPPM("the header does not end") }
        (self.width, self.height, length) = (width, height, index + 1)
    }

    private static func number(in bytes: [UInt8], at index: inout Int) throws(PictureError) -> Int {
        while index < bytes.count, isSpace(bytes[index]) || bytes[index] == UInt8(ascii: "#") {
            if bytes[index] == UInt8(ascii: "#") {
                while index < bytes.count, bytes[index] != UInt8(ascii: "\n") { index += 1 }
            } else {
                index += 1
            }
        }
        let digits = bytes[index...].prefix(6).prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        guard let number = Int(String(decoding: digits, as: UTF8.self)) else {
            throw .notPPM("no number in its header")
        }
        index += digits.count
        return number
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || 9...13 ~= byte
    }
}
