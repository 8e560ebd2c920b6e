internal import CFileSystem
internal import Domain
internal import Foundation
internal import Server

/// The disks that are written to.
struct DiskChecks {
    /// What is no worry yet, and what stops a server soon.
    private static let (littleBytes, tooFewBytes): (UInt64, UInt64) = (1 << 30, 64 << 20)
    private static let tooFewFiles: UInt64 = 1000

    let patient: Patient

    init(_ patient: Patient) { self.patient = patient }

    /// What is written to on this machine: the folder of SQLite's file, and that of chunks in files.
    private var folders: [String] {
        var folders: [String] = []
        if let file = patient.file { folders.append(URL(filePath: file).deletingLastPathComponent().path(percentEncoded: false)) }
        if patient.keepsFiles { folders.append(patient.data.chunkFolder) }
        return folders.filter { FileManager.default.fileExists(atPath: $0) }
    }

    func space() -> Finding {
        guard !folders.isEmpty else { return .notApplicable("nothing is written to this machine's disks") }
        var words: [String] = []
        var worst = Finding.Result.ok
        for folder in folders {
            let attributes: [FileAttributeKey: Any]
            do { attributes = try FileManager.default.attributesOfFileSystem(forPath: folder) } catch { continue }
            func number(_ key: FileAttributeKey) -> UInt64 { (attributes[key] as? NSNumber)?.uint64Value ?? 0 }
            let (bytes, files) = (number(.systemFreeSize), number(.systemFreeNodes))
            // Some file systems have no fixed number of files, and say 0.
            let isOutOfFiles = number(.systemNodes) > 0 && files < Self.tooFewFiles
            words.append("\(bytes >> 20) MiB\(isOutOfFiles ? " and \(files) files" : "") left for \(folder)")
            if bytes < Self.tooFewBytes || isOutOfFiles {
                worst = .failure
            } else if bytes < Self.littleBytes, worst == .ok {
                worst = .warning
            }
        }
        let found = words.joined(separator: ", ")
        let (means, mend) = (
            "When the disk is full every write is refused; nothing that was acknowledged is lost.",
            "Make room, or move the folder to a larger disk. apus gc --dry-run tells what nobody needs any more."
        )
        return switch worst {
        case .failure: .failure(found, means: means, mend: mend)
        case .warning: .warning(found, means: means, mend: mend)
        default: .ok(found)
        }
    }

    func fileSystem() -> Finding {
        guard !folders.isEmpty else { return .notApplicable("nothing is written to this machine's disks") }
        for folder in folders {
            guard let system = FileSystem(of: folder) else { continue }
            let isSQLites = patient.file.map { URL(filePath: $0).deletingLastPathComponent().path(percentEncoded: false) } == folder
            switch system.kind {
            case .local: continue
            case .network where isSQLites:
                return .failure(
                    "\(folder) is on \(system.name), which is reached over a network",
                    means:
                        "SQLite's log of changes needs memory that all its processes share, and locks that hold: over a "
                        + "network the database breaks.",
                    mend:
                        "Keep the data folder on a disk of this machine, or use PostgreSQL (APUS_DATABASE_URL); files of "
                        + "chunks may lie there."
                )
            case .network: continue
            case .memory:
                return .failure(
                    "\(folder) is on \(system.name)", means: "Everything is gone when this machine starts anew.",
                    mend: "Keep the folder on a disk.")
            case .layer:
                return .warning(
                    "\(folder) is on \(system.name), a container's own layer",
                    means: "If this is a container, everything is gone with it, also at an upgrade.",
                    mend: "Mount a volume there: -v apus:/data.")
            }
        }
        return .ok(folders.map { "\($0) is on \(FileSystem(of: $0)?.name ?? "a disk")" }.joined(separator: ", "))
    }
}

/// What a folder lies on.
struct FileSystem {
    enum Kind {
        case local
        case network
        /// Gone with the machine's memory.
        case memory
        /// Gone with the container.
        case layer
    }

    let name: String
    let kind: Kind

    /// As the kernel numbers them (`linux/magic.h` and the sources of each).
    private static let known: [UInt32: (String, Kind)] = [
        0x6969: ("NFS", .network), 0xFF53_4D42: ("CIFS", .network), 0xFE53_4D42: ("SMB", .network), 0x517B: ("SMB", .network),
        0x0102_1997: ("9p", .network), 0x5346_414F: ("AFS", .network), 0x6B41_4653: ("AFS", .network), 0x00C3_6400: ("Ceph", .network),
        0x0BD0_0BD0: ("Lustre", .network), 0x4750_4653: ("GPFS", .network), 0x0116_1970: ("GFS2", .network),
        0x7461_636F: ("OCFS2", .network),
        0x7375_7245: ("Coda", .network), 0x564C: ("NCP", .network), 0x786F_4256: ("a folder of VirtualBox", .network),
        0x0102_1994: ("tmpfs", .memory), 0x8584_58F6: ("ramfs", .memory), 0x794C_7630: ("overlayfs", .layer),
    ]
    private static let fuse: UInt32 = 0x6573_5546
    /// Of those in user space, which are on disks of this machine: the others are clouds, hosts of this one, and the like.
    private static let localInUserSpace = [
        "fuseblk", "fuse.ntfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.mergerfs", "fuse.ext4", "fuse.fuse-overlayfs",
    ]

    /// Nil where it cannot be told.
    init?(of folder: String) {
        let number = unsafe apus_file_system(folder)
        guard number != 0 else { return nil }
        self.init(number: number, mountType: Self.mountType(of: folder))
    }

    /// - Parameters:
    ///   - number: as the kernel tells it.
    ///   - mountType: as the list of mounts tells it.
    init(number: UInt32, mountType: String?) {
        if number == Self.fuse {
            let type = mountType ?? "fuse"
            (name, kind) = (type, Self.localInUserSpace.contains { type.isExactly($0) } ? .local : .network)
        } else if let (name, kind) = Self.known[number] {
            (self.name, self.kind) = (name, kind)
        } else {
            (name, kind) = (mountType ?? "a disk", .local)
        }
    }

    /// What the deepest mount above a folder is of.
    private static func mountType(of folder: String) -> String? {
        guard let content = FileManager.default.contents(atPath: "/proc/self/mountinfo") else { return nil }
        let path = URL(filePath: folder).resolvingSymlinksInPath().path(percentEncoded: false)
        return mountType(of: path, in: String(decoding: content, as: UTF8.self))
    }

    /// - Parameter mounts: as in `/proc/self/mountinfo`.
    static func mountType(of path: String, in mounts: String) -> String? {
        var best: (length: Int, type: String)?
        for line in mounts.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count > 6, let dash = words.firstIndex(of: "-"), words.count > dash + 1 else { continue }
            let point = words[4].replacing("\\040", with: " ")
            let isAbove = point == "/" || path.isExactly(point) || path.utf8.starts(with: (point + "/").utf8)
            // Of several at one place the last lies above the others.
            if isAbove, point.utf8.count >= best?.length ?? 0 { best = (point.utf8.count, words[dash + 1]) }
        }
        return best?.type
    }
}
