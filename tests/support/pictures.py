"""Images, made here: good ones, huge ones and broken ones; and what the head of one says."""

import base64
import random
import struct
import zlib


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width, height, body):
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + body + _chunk(b"IEND", b"")


def png(width, height, colour=(255, 128, 16)):
    """A PNG of one colour."""
    rows = (b"\0" + bytes(colour) * width) * height
    return _png(width, height, _chunk(b"IDAT", zlib.compress(rows)))


def halves(width, height):
    """A PNG whose left half is red and whose right half is blue."""
    row = b"\0" + b"\xff\0\0" * (width // 2) + b"\0\0\xff" * (width - width // 2)
    return _png(width, height, _chunk(b"IDAT", zlib.compress(row * height)))


def noise(width, height, seed):
    """A PNG of random colours, which packs badly."""
    source = random.Random(seed)
    rows = b"".join(b"\0" + source.randbytes(3 * width) for _ in range(height))
    return _png(width, height, _chunk(b"IDAT", zlib.compress(rows)))


def bomb(width=50000, height=50000, unpacked=32 << 20):
    """A PNG that says it has so many pixels; so many bytes of them are there, in a few kilobytes."""
    return _png(width, height, _chunk(b"IDAT", zlib.compress(b"\0" * unpacked, 9)))


def gif(frames, side=4):
    """An animation of so many frames, red and green in turn."""
    parts = [b"GIF89a", struct.pack("<HHBBB", side, side, 0x91, 0, 0),
             bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]), b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"]
    for number in range(frames):
        parts.append(b"\x21\xf9\x04\0\x0a\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0))
        codes = _gif_codes([number % 2] * (side * side))
        parts.append(b"\x02" + b"".join(bytes([len(codes[i:i + 255])]) + codes[i:i + 255]
                                        for i in range(0, len(codes), 255)) + b"\0")
    return b"".join(parts) + b"\x3b"


def _gif_codes(pixels):
    """LZW of GIF without compression: the table is cleared before each pixel."""
    bits = count = 0
    out = bytearray()
    for code in [code for pixel in pixels for code in (4, pixel)] + [5]:
        bits |= code << count
        count += 3
        while count >= 8:
            out.append(bits & 255)
            bits >>= 8
            count -= 8
    return bytes(out) + bytes([bits & 255])


# 64 by 48 pixels, grey.
JPEG = base64.b64decode("""
/9j/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxlZ2P/2wBDARESEhgVGC
8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/wAARCAAwAEADASIAAhEBAxEB/8QAHwAA
AQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2
JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKz
tLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtR
EAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElK
U1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5e
bn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwCOiiigAooooAKKKKACiiigAooooAKKKKACiiigAooooAKKKKACiiigAooooAKKKKAP/9k=""")

WEBP = base64.b64decode("""
UklGRgwBAABXRUJQVlA4WAoAAAAIAAAAPwAALwAAVlA4ICwAAACQAwCdASpAADAAPzmcyl2vKyikoqgB4CcJaQAW30DPfWCAZfSgAP4AAAAAAE
VYSUa6AAAARXhpZgAASUkqAAgAAAAGABIBAwABAAAAAQAAABoBBQABAAAAVgAAABsBBQABAAAAXgAAACgBAwABAAAAAgAAABMCAwABAAAAAQAA
AGmHBAABAAAAZgAAAAAAAAA4YwAA6AMAADhjAADoAwAABgAAkAcABAAAADAyMTABkQcABAAAAAECAwAAoAcABAAAADAxMDABoAMAAQAAAP//AA
ACoAQAAQAAAEAAAAADoAQAAQAAADAAAAAAAAAA""")


def kind(data):
    """What the bytes are: png, jpeg, gif, webp, or webp animation."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:4] == b"GIF8":
        return "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp animation" if b"ANIM" in data[:64] and data.count(b"ANMF") > 1 else "webp"
    return None


def size(data):
    """Width and height, of a PNG or a JPEG."""
    if kind(data) == "png":
        return struct.unpack(">II", data[16:24])
    place = 2
    while True:
        marker, length = struct.unpack(">HH", data[place:place + 4])
        if marker in (0xFFC0, 0xFFC1, 0xFFC2):
            height, width = struct.unpack(">HH", data[place + 5:place + 9])
            return width, height
        place += 2 + length


def pixels(data):
    """The rows of a PNG of 8-bit RGB, as lists of colours."""
    width, height = size(data)
    place, packed = 8, b""
    while place < len(data):
        length, name = struct.unpack(">I4s", data[place:place + 8])
        packed += data[place + 8:place + 8 + length] if name == b"IDAT" else b""
        place += 12 + length
    raw, rows, stride = zlib.decompress(packed), [], 3 * width
    above = bytes(stride)
    for number in range(height):
        method, line = raw[number * (stride + 1)], bytearray(raw[number * (stride + 1) + 1:(number + 1) * (stride + 1)])
        for i in range(stride):
            left, up, corner = (line[i - 3] if i >= 3 else 0), above[i], (above[i - 3] if i >= 3 else 0)
            line[i] = (line[i] + (0, left, up, (left + up) // 2, _paeth(left, up, corner))[method]) & 255
        above = bytes(line)
        rows.append([tuple(above[i:i + 3]) for i in range(0, stride, 3)])
    return rows


def _paeth(left, up, corner):
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))
