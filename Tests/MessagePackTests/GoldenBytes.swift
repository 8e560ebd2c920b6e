import MessagePack

/// What is sent, and what Python writes for it.
let goldenBytes = """
    c0 c0
    c2 c2
    c3 c3
    00 00
    7f 7f
    ff ff
    e0 e0
    cc00 00
    cc7f 7f
    cc80 cc80
    ccff ccff
    cd0000 00
    cd00ff ccff
    cd0100 cd0100
    cdffff cdffff
    ce00000000 00
    ce0000ffff cdffff
    ce00010000 ce00010000
    ceffffffff ceffffffff
    cf0000000000000000 00
    cf00000000ffffffff ceffffffff
    cf0000000100000000 cf0000000100000000
    cf7fffffffffffffff cf7fffffffffffffff
    cf8000000000000000 cf8000000000000000
    cfffffffffffffffff cfffffffffffffffff
    d07f 7f
    d000 00
    d0e0 e0
    d0df d0df
    d080 d080
    d1ffff ff
    d10000 00
    d100ff ccff
    d1ff80 d080
    d1ff7f d1ff7f
    d18000 d18000
    d200000001 01
    d2ffff8000 d18000
    d2ffff7fff d2ffff7fff
    d280000000 d280000000
    d3ffffffffffffffff ff
    d30000000000000000 00
    d3ffffffff80000000 d280000000
    d3ffffffff7fffffff d3ffffffff7fffffff
    d38000000000000000 d38000000000000000
    d37fffffffffffffff cf7fffffffffffffff
    ca00000000 cb0000000000000000
    ca80000000 cb8000000000000000
    ca3fc00000 cb3ff8000000000000
    ca7f800000 cb7ff0000000000000
    caff800000 cbfff0000000000000
    ca7f7fffff cb47efffffe0000000
    ca00000001 cb36a0000000000000
    ca7fc00000 cb7ff8000000000000
    cb0000000000000000 cb0000000000000000
    cb3ff8000000000000 cb3ff8000000000000
    cb7ff0000000000000 cb7ff0000000000000
    cb8000000000000000 cb8000000000000000
    a0 a0
    a161 a161
    a3e282ac a3e282ac
    d900 a0
    d90161 a161
    da000161 a161
    db0000000161 a161
    a4f09f9880 a4f09f9880
    a100 a100
    c400 c400
    c40100 c40100
    c5000100 c40100
    c600000001ff c401ff
    90 90
    9101 9101
    dc0000 90
    dc000101 9101
    dd0000000101 9101
    93019202039104 93019202039104
    80 80
    81a16101 81a16101
    de0001a16101 81a16101
    df00000001d9016101 81a16101
    81c4016101 81c4016101
    82a16101c4016102 82a16101c4016102
    82a16101a16102 81a16102
    83a16101a16202a16103 82a16103a16202
    83a16101d9016102da00016103 81a16103
    82c4016101c500016102 81c4016102
    82a16182a16201a16202a16103 81a16103
    9182a16101a16180 9181a16180
    84a16201a16102a16203a16104 82a16203a16104
    82a2c3a901a365cc8102 82a2c3a901a365cc8102
    d40507 9205c40107
    d5050708 9205c4020708
    d60501020304 9205c40401020304
    d7050102030405060708 9205c4080102030405060708
    d80501020304050607080910111213141516 9205c41001020304050607080910111213141516
    c70005 9205c400
    c7010507 9205c40107
    c800010507 9205c40107
    c9000000010507 9205c40107
    d47f00 927fc40100
    d400ff 9200c401ff
    d6ff00000000 d6ff00000000
    d6ffffffffff d6ffffffffff
    d7ff0000000000000001 d6ff00000001
    d7ff0000000100000000 d7ff0000000100000000
    d7ff00000003ffffffff d7ff00000003ffffffff
    d7ffee6b27fc00000000 d7ffee6b27fc00000000
    c70cff000000000000000000000001 d6ff00000001
    c70cff000000000000000100000000 d7ff0000000100000000
    c70cff000000000000000400000000 c70cff000000000000000400000000
    c70cff3b9ac9ffffffffffffffffff c70cff3b9ac9ffffffffffffffffff
    c70cff000000018000000000000000 c70cff000000018000000000000000
    c704ff00000001 d6ff00000001
    c80008ff0000000000000001 d6ff00000001
    81a161d6ff00000001 81a161d6ff00000001
    81a161d40507 81a1619205c40107
    """

/// What Python refuses; the reasons are ours.
let refusedBytes: [Refused] = [
    Refused("", .truncated),
    Refused("c1", .invalidByte(0xc1)),
    Refused("c0c0", .trailingBytes),
    Refused("9100ff", .trailingBytes),
    Refused("a1", .truncated),
    Refused("a2c3", .truncated),
    Refused("a1ff", .invalidUTF8),
    Refused("a3eda080", .invalidUTF8),
    Refused("a2c080", .invalidUTF8),
    Refused("a4f4908080", .invalidUTF8),
    Refused("cc", .truncated),
    Refused("cd00", .truncated),
    Refused("ce000000", .truncated),
    Refused("cf00000000000000", .truncated),
    Refused("ca000000", .truncated),
    Refused("cb00000000000000", .truncated),
    Refused("d0", .truncated),
    Refused("d100", .truncated),
    Refused("d2000000", .truncated),
    Refused("d300000000000000", .truncated),
    Refused("d9", .truncated),
    Refused("da00", .truncated),
    Refused("db000000", .truncated),
    Refused("c4", .truncated),
    Refused("c500", .truncated),
    Refused("c6000000", .truncated),
    Refused("c7", .truncated),
    Refused("c701", .truncated),
    Refused("c70105", .truncated),
    Refused("d4", .truncated),
    Refused("d405", .truncated),
    Refused("dc00", .truncated),
    Refused("dd000000", .truncated),
    Refused("de00", .truncated),
    Refused("df000000", .truncated),
    Refused("91", .truncated),
    Refused("81", .truncated),
    Refused("81a161", .truncated),
    Refused("9281", .truncated),
    Refused("92c1", .truncated),
    Refused("81c1", .truncated),
    Refused("dc0002c1", .truncated),
    Refused("de0001c1", .truncated),
    Refused("dfffffffff", .truncated),
    Refused("ddffffffff", .truncated),
    Refused("dbffffffff", .truncated),
    Refused("c6ffffffff", .truncated),
    Refused("c9ffffffff05", .truncated),
    Refused("ddffffffffc0c0c0", .truncated),
    Refused("df80000000", .truncated),
    Refused("df00000002a161c0a1", .truncated),
    Refused("81c001", .invalidMapKey),
    Refused("810101", .invalidMapKey),
    Refused("81c201", .invalidMapKey),
    Refused("81cb000000000000000001", .invalidMapKey),
    Refused("818001", .invalidMapKey),
    Refused("819001", .invalidMapKey),
    Refused("81d4050701", .invalidMapKey),
    Refused("81d6ff0000000001", .invalidMapKey),
    Refused("82a161010101", .invalidMapKey),
    Refused("d4ff00", .invalidTimestamp),
    Refused("c700ff", .invalidTimestamp),
    Refused("c705ff0000000000", .invalidTimestamp),
    Refused("d8ff00000000000000000000000000000000", .invalidTimestamp),
    Refused("d7ffee6b280000000000", .invalidTimestamp),
    Refused("c70cff3b9aca000000000000000000", .invalidTimestamp),
    Refused("c70cffffffffff0000000000000000", .invalidTimestamp),
    Refused("d48000", .invalidByte(0x80)),
    Refused("d4fe00", .invalidByte(0xfe)),
    Refused("c70080", .invalidByte(0x80)),
]

/// How Python begins values of these sizes.
let goldenWidths: [Width] = [
    Width(.string, 0, head: "a0"),
    Width(.string, 1, head: "a1"),
    Width(.string, 31, head: "bf"),
    Width(.string, 32, head: "d920"),
    Width(.string, 255, head: "d9ff"),
    Width(.string, 256, head: "da0100"),
    Width(.string, 65_535, head: "daffff"),
    Width(.string, 65_536, head: "db00010000"),
    Width(.bytes, 0, head: "c400"),
    Width(.bytes, 1, head: "c401"),
    Width(.bytes, 255, head: "c4ff"),
    Width(.bytes, 256, head: "c50100"),
    Width(.bytes, 65_535, head: "c5ffff"),
    Width(.bytes, 65_536, head: "c600010000"),
    Width(.array, 0, head: "90"),
    Width(.array, 1, head: "91"),
    Width(.array, 15, head: "9f"),
    Width(.array, 16, head: "dc0010"),
    Width(.array, 65_535, head: "dcffff"),
    Width(.array, 65_536, head: "dd00010000"),
    Width(.map, 0, head: "80"),
    Width(.map, 1, head: "81"),
    Width(.map, 15, head: "8f"),
    Width(.map, 16, head: "de0010"),
    Width(.map, 65_535, head: "deffff"),
    Width(.map, 65_536, head: "df00010000"),
    Width(.ext, 0, head: "c70005"),
    Width(.ext, 1, head: "d405"),
    Width(.ext, 2, head: "d505"),
    Width(.ext, 3, head: "c70305"),
    Width(.ext, 4, head: "d605"),
    Width(.ext, 5, head: "c70505"),
    Width(.ext, 8, head: "d705"),
    Width(.ext, 15, head: "c70f05"),
    Width(.ext, 16, head: "d805"),
    Width(.ext, 17, head: "c71105"),
    Width(.ext, 255, head: "c7ff05"),
    Width(.ext, 256, head: "c8010005"),
    Width(.ext, 65_535, head: "c8ffff05"),
    Width(.ext, 65_536, head: "c90001000005"),
]
