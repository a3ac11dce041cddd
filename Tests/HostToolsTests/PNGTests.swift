import CPNG
import HostTools
import Testing

struct PNGTests {
    private static func ppm(_ header: String, _ pixels: [UInt8]) -> [UInt8] { Array(header.utf8) + pixels }

    /// The pixels as libpng reads them back.
    private static func decode(_ png: [UInt8]) throws -> (width: UInt32, height: UInt32, pixels: [UInt8]) {
        var image = shim_png_image(0, 0)
        defer { png_image_free(&image) }
        try #require(png.withUnsafeBytes { png_image_begin_read_from_memory(&image, $0.baseAddress, $0.count) } != 0)
        var pixels = [UInt8](repeating: 0, count: Int(image.width * image.height * 3))
        let (width, height) = (image.width, image.height)
        image.format = shim_png_image(0, 0).format
        try #require(png_image_finish_read(&image, nil, &pixels, 0, nil) != 0)
        return (width, height, pixels)
    }

    @Test(arguments: ["P6\n3 2\n255\n", "P6 3 2 255 ", "P6\n# by QEMU\n3\t2 # pixels\n255\n"])
    func `every pixel is where it was`(_ header: String) throws {
        // The first pixels are what headers are made of: white space and digits.
        let pixels: [UInt8] = [10, 32, 35, 49, 0, 255, 1, 2, 3, 250, 251, 252, 9, 9, 9, 128, 64, 32]
        let png = try PNG.encode(ppm: Self.ppm(header, pixels))
        #expect(png.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]))
        #expect(try PNG.file(of: png) == png)
        #expect(try PNG.file(of: Self.ppm(header, pixels)) == png)
        let picture = try Self.decode(png)
        #expect(picture.width == 3 && picture.height == 2)
        #expect(picture.pixels == pixels)
    }

    @Test func `a screen of one colour becomes small`() throws {
        let png = try PNG.encode(ppm: Self.ppm("P6\n1024 768\n255\n", [UInt8](repeating: 0, count: 1024 * 768 * 3)))
        #expect(png.count < 20_000)
    }

    @Test(arguments: [
        "", "P6", "P5\n1 1\n255\nxxx", "P6\n1 1\n255", "P6\n1 1\n65535\nxxx", "P6\n0 1\n255\nxxx", "P6\n-1 1\n255\nxxx",
        "P6\n100000 100000\n255\nxxx", "P6\n99999999999999999999 1\n255\nxxx", "P6\n2 1\n255\nxxx", "P6\n# for ever",
    ])
    func `what is no picture is refused`(_ file: String) {
        #expect(throws: PictureError.self) { try PNG.encode(ppm: Array(file.utf8)) }
    }
}
