internal import API
internal import ArgumentParser
internal import Domain

/// How often strangers may try something.
extension Settings {
    static let loginLimit = Setting(
        "APUS_LOGIN_LIMIT", flag: "--login-limit", default: .text("50/1h"),
        "How many logins of a name from an address may fail: 50/1h, or 0 for any number; all such limits are written so.", limit)

    static let loginLimitName = Setting(
        "APUS_LOGIN_LIMIT_NAME", flag: "--login-limit-name", default: .text("500/1h"),
        "How many logins of a name may fail, from addresses that it has not logged in from.", limit)

    static let loginLimitAddress = Setting(
        "APUS_LOGIN_LIMIT_ADDRESS", flag: "--login-limit-address", default: .text("500/1h"),
        "How many logins from an address may fail, of names that have not logged in from it.", limit)

    static let signupLimit = Setting(
        "APUS_SIGNUP_LIMIT", flag: "--signup-limit", default: .text("300/1h"), "How many may sign up from an address.", limit)

    static let invitationLimit = Setting(
        "APUS_INVITATION_LIMIT", flag: "--invitation-limit", default: .text("1000/1h"),
        "How many invitations to collections a user may send.", limit)

    static let quota = Setting(
        "APUS_QUOTA", flag: "--quota", default: .text("none"), example: "bytes=5GB,items=100000,collections=50",
        """
        How much the collections that a user owns may hold, where `apus user quota` says nothing else: \
        bytes=5GB,items=100000,collections=50, or some of it, or 5GB for bytes alone.
        """
    ) { text, name in try QuotaText.parse(text, of: name) }

    @Sendable private static func limit(_ text: String, _ name: String) throws -> RateLimit? {
        guard text != "0" else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let count = Int(parts[0]), (1...1_000_000).contains(count),
            let window = try? Lifetime.parse(String(parts[1])), window <= .seconds(365 * 86_400)
        else {
            throw ValidationError("\(name) is a number in a time, such as 50/1h, or 0 for any number, not \(text)")
        }
        return RateLimit(count, in: window)
    }
}

extension Environment {
    /// - Throws: `ValidationError`
    func limitSettings() throws -> LimitSettings {
        var settings = LimitSettings()
        settings.logins = try value(Settings.loginLimit)
        settings.loginsOfName = try value(Settings.loginLimitName)
        settings.loginsFromAddress = try value(Settings.loginLimitAddress)
        settings.signups = try value(Settings.signupLimit)
        settings.invitations = try value(Settings.invitationLimit)
        return settings
    }
}
