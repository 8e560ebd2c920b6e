import Domain
import Testing

@testable import Directory

/// What follows from what a directory has said: in minutes after the first answer, where answers are good for an hour and hold for a
/// day more.
@Suite struct RollTests {
    private let start = ContinuousClock.now
    private let alice = UserID(rawValue: 1)
    private let listed = Listing(isAdmin: false)

    private func roll() -> Roll { Roll(freshness: .seconds(3600), grace: .seconds(86_400)) }
    private func after(minutes: Double) -> ContinuousClock.Instant { start + .seconds(minutes * 60) }

    @Test func whoeverIsNewIsAskedFor() {
        var roll = roll()
        #expect(roll.use(by: alice, at: start) == .unknown)
    }

    @Test func whoeverIsListedIsLetInWithoutAQuestionAsLongAsThatIsGood() {
        var roll = roll()
        roll.note(listed, of: alice, at: start)
        #expect(roll.use(by: alice, at: start) == .admitted)
        #expect(roll.use(by: alice, at: after(minutes: 60)) == .admitted)
        // The question is asked behind requests; when it comes to nothing for a minute, they wait for it.
        #expect(roll.use(by: alice, at: after(minutes: 62)) == .unknown)
    }

    @Test func answersAreAskedForAgainOnceTheyAreOldTheOldestFirst() {
        var roll = roll()
        let bob = UserID(rawValue: 2)
        roll.note(listed, of: bob, at: after(minutes: 1))
        roll.note(listed, of: alice, at: start)
        #expect(roll.due(at: after(minutes: 59)).isEmpty)
        #expect(roll.due(at: after(minutes: 60)) == [alice])
        #expect(roll.due(at: after(minutes: 61)) == [alice, bob])
    }

    @Test func whoeverDoesNothingForADayIsForgotten() {
        var roll = roll()
        roll.note(listed, of: alice, at: start)
        #expect(roll.due(at: after(minutes: 1440)) == [alice])
        #expect(roll.due(at: after(minutes: 1441)).isEmpty)
        #expect(roll.use(by: alice, at: after(minutes: 1441)) == .unknown)
    }

    @Test func whoeverIsNotListedIsRefusedAndAskedForAgainSoon() {
        var roll = roll()
        roll.note(nil, of: alice, at: start)
        #expect(roll.use(by: alice, at: after(minutes: 0.1)) == .refused)
        #expect(roll.use(by: alice, at: after(minutes: 0.2)) == .unknown)
    }

    @Test func whileTheDirectoryIsAwayTheLastAnswerHoldsForTheTimeOfGrace() {
        var roll = roll()
        roll.note(listed, of: alice, at: start)
        roll.failed(at: after(minutes: 30))
        #expect(roll.use(by: alice, at: after(minutes: 90)) == .admitted)
        #expect(roll.use(by: alice, at: after(minutes: 60 + 1440)) == .admitted)
        #expect(roll.use(by: alice, at: after(minutes: 60 + 1441)) == .unavailable)
        roll.answered()
        #expect(roll.use(by: alice, at: after(minutes: 60 + 1441)) == .unknown)
    }

    @Test func whileTheDirectoryIsAwayARefusalHoldsToo() {
        var roll = roll()
        roll.note(nil, of: alice, at: start)
        roll.failed(at: start)
        #expect(roll.use(by: alice, at: after(minutes: 90)) == .refused)
        #expect(roll.use(by: alice, at: after(minutes: 60 + 1441)) == .unavailable)
    }

    @Test func nobodyNewWaitsForADirectoryThatIsAway() {
        var roll = roll()
        roll.failed(at: start)
        #expect(roll.use(by: alice, at: start) == .unavailable)
    }

    @Test func graceBeginsWithTheFirstFailure() {
        var roll = roll()
        roll.failed(at: start)
        roll.failed(at: after(minutes: 1000))
        #expect(!roll.isGraceOver(at: after(minutes: 1440)))
        #expect(roll.isGraceOver(at: after(minutes: 1441)))
    }

    @Test func whoeverHasLeftIsToldOnce() {
        var roll = roll()
        roll.note(listed, of: alice, at: start)
        #expect(roll.newlyOut(at: start).isEmpty)
        roll.note(nil, of: alice, at: after(minutes: 60))
        #expect(roll.newlyOut(at: after(minutes: 60)) == [alice])
        #expect(roll.newlyOut(at: after(minutes: 60)).isEmpty)
        roll.note(listed, of: alice, at: after(minutes: 61))
        #expect(roll.newlyOut(at: after(minutes: 61)).isEmpty)
        roll.note(nil, of: alice, at: after(minutes: 62))
        #expect(roll.newlyOut(at: after(minutes: 62)) == [alice])
    }

    @Test func whoseGraceIsOverIsToldToo() {
        var roll = roll()
        roll.note(listed, of: alice, at: start)
        roll.failed(at: start)
        #expect(roll.newlyOut(at: after(minutes: 1500)).isEmpty)
        #expect(roll.newlyOut(at: after(minutes: 1501)) == [alice])
    }

    @Test func whoAdministersIsSaidByTheLastAnswer() {
        var roll = roll()
        roll.note(Listing(isAdmin: true), of: alice, at: start)
        #expect(roll.isAdmin(alice))
        roll.note(listed, of: alice, at: start)
        #expect(!roll.isAdmin(alice))
    }

    // MARK: What is kept

    private let said = Said(user: UserID(rawValue: 1), listing: Listing(isAdmin: true), age: .seconds(60))

    private func keeping() -> Roll { Roll(freshness: .seconds(3600), grace: .seconds(86_400), recalls: true) }

    @Test func whileTheDirectoryIsAwayWhatWasKeptHoldsFromWhenItWasSaid() {
        var roll = keeping()
        #expect(roll.isToBeAsked(for: alice, at: start) && !roll.isToBeRecalled(alice, at: start))
        roll.failed(at: start)
        #expect(!roll.isToBeAsked(for: alice, at: start) && roll.isToBeRecalled(alice, at: start))
        roll.recall(said, of: alice, at: start)
        #expect(roll.use(by: alice, at: start) == .admitted && roll.isAdmin(alice))
        #expect(roll.use(by: alice, at: after(minutes: 59 + 1440)) == .admitted)
        #expect(roll.use(by: alice, at: after(minutes: 60 + 1440)) == .unavailable)
    }

    @Test func whatWasKeptCountsForNothingOnceTheDirectoryAnswers() {
        var roll = keeping()
        roll.failed(at: start)
        roll.recall(said, of: alice, at: start)
        roll.answered()
        #expect(roll.use(by: alice, at: start) == .unknown)
        #expect(roll.due(at: start) == [alice], "who only listens is asked for too")
        roll.note(nil, of: alice, at: start)
        #expect(roll.newlyOut(at: start) == [alice])
    }

    @Test func ofWhomNothingIsKeptItIsLookedUpOnceAsLongAsTheDirectoryIsAway() {
        var roll = keeping()
        roll.failed(at: start)
        roll.recall(nil, of: alice, at: start)
        #expect(!roll.isToBeRecalled(alice, at: start) && roll.use(by: alice, at: start) == .unavailable)
        roll.answered()
        #expect(roll.use(by: alice, at: start) == .unknown)
        roll.failed(at: start)
        #expect(roll.isToBeRecalled(alice, at: start))
    }

    @Test func whatWasSaidHereIsNotReplacedByWhatWasKept() {
        var roll = keeping()
        roll.note(nil, of: alice, at: start)
        roll.failed(at: start)
        roll.recall(said, of: alice, at: start)
        #expect(roll.use(by: alice, at: start) == .refused)
    }

    @Test func whatIsTheSameIsKeptAgainSeldomAndAtOnceWhenTheDirectoryGoesAway() {
        var roll = keeping()
        roll.note(listed, of: alice, at: start)
        let first = roll.unkept(at: start)
        #expect(first == [Said(user: alice, listing: listed, age: .zero)])
        roll.kept(first, at: start)
        #expect(roll.unkept(at: start).isEmpty)
        roll.note(listed, of: alice, at: after(minutes: 60))
        #expect(roll.unkept(at: after(minutes: 60)).isEmpty)
        roll.note(listed, of: alice, at: after(minutes: 181))
        #expect(roll.unkept(at: after(minutes: 181)).count == 1)
        roll.kept(roll.unkept(at: after(minutes: 181)), at: after(minutes: 181))
        roll.note(listed, of: alice, at: after(minutes: 200))
        roll.failed(at: after(minutes: 201))
        #expect(roll.unkept(at: after(minutes: 201)) == [Said(user: alice, listing: listed, age: .seconds(60))])
        roll.answered()
        roll.note(nil, of: alice, at: after(minutes: 201))
        #expect(roll.unkept(at: after(minutes: 201)) == [Said(user: alice, listing: nil, age: .zero)])
    }
}
