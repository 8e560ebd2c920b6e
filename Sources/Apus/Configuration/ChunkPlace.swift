internal import ArgumentParser
internal import Contents
internal import S3
internal import Server

/// Where new contents of chunks go, as it is set.
enum ChunkPlace: Sendable {
    case database
    case files
    case objects(S3Address)

    var place: ContentPlace {
        switch self {
        case .database: .database
        case .files: .files
        case .objects: .objects
        }
    }
}

extension Environment {
    /// The S3 store that is named, whether or not new contents go there; nil where there is none.
    ///
    /// - Throws: `ValidationError` where two are named.
    func objectSettings() throws -> ObjectSettings? {
        let also = try optional(Settings.chunksAlso)
        let address: S3Address
        switch (try value(Settings.chunks), also) {
        case (.objects(let new), nil): address = new
        case (.objects(let new), let other?):
            guard new == other else { throw ValidationError("\(Settings.chunks.name) and \(Settings.chunksAlso.name) name two S3 stores") }
            address = new
        case (_, let other?): address = other
        case (_, nil): return nil
        }
        guard let access = try optional(Settings.s3AccessKey), let secret = try optional(Settings.s3SecretKey) else {
            return ObjectSettings(address, nil)
        }
        return ObjectSettings(address, S3Keys(access: access, secret: secret))
    }
}
